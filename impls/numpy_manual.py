"""NumPy by hand: forward pass, gradients and update written out.

The network is y_pred = max(x w1, 0) w2, its loss the sum of (y_pred - y)^2.
"""

import numpy as np


def train(cfg):
    x, y, w1, w2 = (array.copy() for array in cfg.problem())

    for _ in cfg.steps():
        # Forward pass: compute predicted y.
        h = x @ w1  # (N, H)
        h_relu = np.maximum(h, 0)  # (N, H)
        y_pred = h_relu @ w2  # (N, D_out)

        loss = np.square(y_pred - y).sum()
        yield loss

        # Backward pass: gradients of the loss with respect to w1 and w2.
        grad_y_pred = 2.0 * (y_pred - y)  # (N, D_out)
        grad_w2 = h_relu.T @ grad_y_pred  # (H, D_out)
        grad_h_relu = grad_y_pred @ w2.T  # (N, H)
        grad_h = grad_h_relu.copy()  # (N, H)
        grad_h[h < 0] = 0
        grad_w1 = x.T @ grad_h  # (D_in, H)

        # Gradient descent.
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2

    return w1, w2
