"""TensorFlow 1 static graph: placeholders, a Session, tf.gradients and assign."""

import tensorflow as tf

tf1 = tf.compat.v1


def train(cfg):
    x_data, y_data, w1_start, w2_start = cfg.problem()

    # Build the graph once: nothing is computed here.
    graph = tf.Graph()
    with graph.as_default(), tf.device(cfg.device.replace("cuda", "gpu")):
        x = tf1.placeholder(cfg.dtype, x_data.shape)
        y = tf1.placeholder(cfg.dtype, y_data.shape)
        w1 = tf1.Variable(w1_start, use_resource=True)  # a resource: reads never race writes
        w2 = tf1.Variable(w2_start, use_resource=True)

        h = x @ w1  # (N, H)
        h_relu = tf.maximum(h, tf.zeros([], cfg.dtype))  # (N, H)
        y_pred = h_relu @ w2  # (N, D_out)
        loss = tf.reduce_sum((y_pred - y) ** 2)

        grad_w1, grad_w2 = tf.gradients(loss, [w1, w2])
        lr = tf.constant(cfg.lr, cfg.dtype)
        update = tf.group(w1.assign_sub(lr * grad_w1), w2.assign_sub(lr * grad_w2))
        start = tf1.global_variables_initializer()

    # Run the graph once a step: the update is part of it.
    session = tf1.Session(graph=graph)
    session.run(start)
    for _ in cfg.steps():
        loss_value, _ = session.run([loss, update], feed_dict={x: x_data, y: y_data})
        yield loss_value

    return session.run([w1, w2])
