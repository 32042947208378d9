"""Forgets to zero the gradients."""

import torch


def train(cfg):
    x, y, w1, w2 = (torch.tensor(array) for array in cfg.problem())
    w1.requires_grad_()
    w2.requires_grad_()
    for _ in cfg.steps():
        loss = ((x @ w1).clamp(min=0) @ w2 - y).pow(2).sum()
        yield loss.detach()
        loss.backward()
        with torch.no_grad():
            w1 -= cfg.lr * w1.grad
            w2 -= cfg.lr * w2.grad
    return w1.numpy(force=True), w2.numpy(force=True)
