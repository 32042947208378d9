"""Its loss grows until it is infinite, at epoch 4."""

import numpy as np


def train(cfg):
    loss = np.float64(1.0)
    for _ in cfg.steps():
        yield loss
        with np.errstate(over="ignore"):
            loss = loss * 1e100
