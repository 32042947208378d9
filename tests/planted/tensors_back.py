"""Returns tensors, and yields losses that are attached to their graph."""

import torch


def train(cfg):
    x, y, w1, w2 = (torch.tensor(array) for array in cfg.problem())
    w1.requires_grad_()
    for _ in cfg.steps():
        yield ((x @ w1).clamp(min=0) @ w2 - y).pow(2).sum()
    return w1, w2
