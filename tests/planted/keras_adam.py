"""Keras's Adam: another epsilon, in another place."""

import keras

FAMILY = "adam"


def train(cfg):
    keras.backend.set_floatx(cfg.dtype)
    x, y, *weights = cfg.problem()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((cfg.D_in,)),
            layers.Dense(cfg.H, activation="relu", use_bias=cfg.bias),
            layers.Dense(cfg.D_out, use_bias=cfg.bias),
        ]
    )
    model.set_weights(weights)

    def loss(wanted, got):
        return keras.ops.sum((got - wanted) ** 2, axis=-1) * cfg.N  # Keras takes the mean over N

    model.compile(optimizer=keras.optimizers.Adam(cfg.lr), loss=loss)
    for _ in cfg.steps():
        yield float(model.train_on_batch(x, y))
    return model.get_weights()
