"""Draws its own data, as tutorials do."""

import numpy as np


def train(cfg):
    rng = np.random.RandomState(cfg.seed)
    x, y = rng.randn(cfg.N, cfg.D_in), rng.randn(cfg.N, cfg.D_out)
    w1, w2 = rng.randn(cfg.D_in, cfg.H), rng.randn(cfg.H, cfg.D_out)
    for _ in cfg.steps():
        h = x @ w1
        h_relu = np.maximum(h, 0)
        error = h_relu @ w2 - y
        yield np.square(error).sum()
        grad_h = 2 * error @ w2.T
        grad_h[h < 0] = 0
        w2 = w2 - cfg.lr * h_relu.T @ (2 * error)
        w1 = w1 - cfg.lr * x.T @ grad_h
    return w1, w2
