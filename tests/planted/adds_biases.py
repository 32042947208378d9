"""Has biases of its own, whatever the config says."""

import numpy as np


def train(cfg):
    _, _, w1, w2 = cfg.problem()
    for step in cfg.steps():
        yield 1.0 / (step + 1)
    return w1, np.zeros(cfg.H), w2, np.zeros(cfg.D_out)
