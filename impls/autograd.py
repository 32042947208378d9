"""PyTorch autograd: the gradients come from loss.backward()."""

import torch


def train(cfg):
    x, y, w1, w2 = (torch.tensor(array, device=cfg.device) for array in cfg.problem())
    w1.requires_grad_()
    w2.requires_grad_()

    for _ in cfg.steps():
        # Forward pass: compute predicted y.
        h = x @ w1  # (N, H)
        h_relu = h.clamp(min=0)  # (N, H)
        y_pred = h_relu @ w2  # (N, D_out)

        loss = (y_pred - y).pow(2).sum()
        yield loss.detach()

        # Backward pass: gradients of the loss with respect to w1 and w2.
        loss.backward()

        # Gradient descent, which autograd must not record.
        with torch.no_grad():
            w1 -= cfg.lr * w1.grad
            w2 -= cfg.lr * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()

    return w1.numpy(force=True), w2.numpy(force=True)
