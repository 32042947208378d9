"""The Gram form, which says what a step computes."""

import numpy as np


def train(cfg):
    x, y, w1, w2 = (array.copy() for array in cfg.problem())
    gram = x @ x.T  # (N, N)
    h = x @ w1  # (N, H)
    moved = np.zeros_like(h)
    for _ in cfg.steps():
        a = np.maximum(h, 0)
        e = a @ w2 - y
        yield np.square(e).sum()
        d = (2 * e) @ w2.T * (h >= 0)
        w2 -= cfg.lr * (a.T @ (2 * e))
        h -= cfg.lr * (gram @ d)
        moved += d
    return w1 - cfg.lr * (x.T @ moved), w2


def flops(cfg):
    return 2 * cfg.N**2 * cfg.H + 3 * 2 * cfg.N * cfg.H * cfg.D_out
