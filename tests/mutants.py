"""Wrong implementations, each wrong in one way. `twolayer verify` must catch every one.

They are written in NumPy, by hand, around one right forward and backward pass, so that what
is wrong stands out. MUTANTS gives for each the settings that its mistake needs to show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MUTANTS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {}


def mutant(family: str = "sgd", **settings: Any) -> Callable[..., Any]:
    """Register a mutant with its reference's family and the settings that it needs."""

    def register(train: Callable[..., Any]) -> Callable[..., Any]:
        MUTANTS[train.__name__] = (train, settings, family)
        return train

    return register


def start(cfg):
    return [array.copy() for array in cfg.problem()]


def forward(x, y, w1, w2):
    h = x @ w1
    h_relu = np.maximum(h, 0)
    error = h_relu @ w2 - y
    return h, h_relu, error, np.square(error).sum()


def backward(x, h, h_relu, error, w2):
    grad_h = 2 * error @ w2.T
    grad_h[h < 0] = 0
    return x.T @ grad_h, h_relu.T @ (2 * error)


@mutant()
def no_relu_mask(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        _, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1 = x.T @ (2 * error @ w2.T)
        w2 -= cfg.lr * (h_relu.T @ (2 * error))
        w1 -= cfg.lr * grad_w1
    return w1, w2


@mutant()
def mask_on_the_wrong_side(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, -h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant()
def w2_updated_too_early(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        w2 -= cfg.lr * (h_relu.T @ (2 * error))
        w1 -= cfg.lr * backward(x, h, h_relu, error, w2)[0]
    return w1, w2


def descend(cfg, *, factor=1.0, decay=0.0, scale=1.0):
    """Right but for the learning rate, a decay of the weights, or the scale of the gradient."""
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        for weight, gradient in zip((w1, w2), backward(x, h, h_relu, error, w2), strict=True):
            weight -= cfg.lr * factor * (scale * gradient + decay * weight)
    return w1, w2


@mutant()
def lr_a_millionth_too_large(cfg):
    return (yield from descend(cfg, factor=1 + 1e-6))


@mutant()
def weight_decay(cfg):
    return (yield from descend(cfg, decay=1e-4))


@mutant()
def factor_two_missing(cfg):
    return (yield from descend(cfg, scale=0.5))


@mutant()
def mean_in_the_gradient(cfg):
    return (yield from descend(cfg, scale=1 / (cfg.N * cfg.D_out)))


@mutant()
def mean_instead_of_sum(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss / error.size
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1 / error.size
        w2 -= cfg.lr * grad_w2 / error.size
    return w1, w2


@mutant()
def gradient_off_in_the_twelfth_digit(cfg):
    """Of one weight, so little that its factor, written out, is 1."""
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1 * (1 + 4e-12)
        w2 -= cfg.lr * grad_w2 * (1 + 4e-12)
    return w1, w2


def sloped(cfg, slope):
    """Right but for the slope of the ReLU at exactly 0."""
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1 = x.T @ (2 * error @ w2.T * np.heaviside(h, slope))
        w2 -= cfg.lr * (h_relu.T @ (2 * error))
        w1 -= cfg.lr * grad_w1
    return w1, w2


@mutant()
def slope_of_5_at_zero(cfg):
    return (yield from sloped(cfg, 5.0))


@mutant()
def slope_of_minus_1_at_zero(cfg):
    return (yield from sloped(cfg, -1.0))


@mutant()
def ends_early(cfg):
    x, y, w1, w2 = start(cfg)
    for step in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
        if step == 5:
            break
    return w1, w2


@mutant()
def not_a_number(cfg):
    x, y, w1, w2 = start(cfg)
    for step in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1 if step < 5 else np.nan
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant()
def start_of_its_own(cfg):
    x, y, w1, w2 = start(cfg)
    rng = np.random.default_rng(cfg.seed + 1)
    w1, w2 = rng.standard_normal(w1.shape), rng.standard_normal(w2.shape)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant()
def a_bias_left_in(cfg):
    x, y, w1, w2 = start(cfg)
    b2 = np.zeros(cfg.D_out)
    for _ in cfg.steps():
        h, h_relu, error, _ = forward(x, y - b2, w1, w2)
        yield np.square(error).sum()
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        b2 -= cfg.lr * 2 * error.sum(axis=0)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant(D_in=12, H=12)
def transposed_gradient(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1.T
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant(D_in=12, H=12)
def transposed_weight(cfg):
    x, y, w1, w2 = start(cfg)
    w1 = w1.T.copy()
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1.T, w2


@mutant(momentum=0.9)
def momentum_averages(cfg):
    """The momentum is an exponential average, m v + (1 - m) g, where m v + g is meant."""
    x, y, w1, w2 = start(cfg)
    v1, v2 = np.zeros_like(w1), np.zeros_like(w2)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        v1 = cfg.momentum * v1 + (1 - cfg.momentum) * grad_w1
        v2 = cfg.momentum * v2 + (1 - cfg.momentum) * grad_w2
        w1 -= cfg.lr * v1
        w2 -= cfg.lr * v2
    return w1, w2


@mutant(momentum=0.9)
def momentum_of_nesterov(cfg):
    x, y, w1, w2 = start(cfg)
    v1, v2 = np.zeros_like(w1), np.zeros_like(w2)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        v1 = cfg.momentum * v1 + grad_w1
        v2 = cfg.momentum * v2 + grad_w2
        w1 -= cfg.lr * (grad_w1 + cfg.momentum * v1)
        w2 -= cfg.lr * (grad_w2 + cfg.momentum * v2)
    return w1, w2


def adam_with(cfg, *, eps=1e-8, epsilon_hat=False, correct=True, slope=1.0, decay=0.0):
    """Adam, with its epsilon where it should be or not, corrected for bias or not."""
    x, y, w1, w2 = start(cfg)
    moments = [[np.zeros_like(w), np.zeros_like(w)] for w in (w1, w2)]
    for t in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        c1, c2 = (1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)) if correct else (1.0, 1.0)
        grad_w1 = x.T @ (2 * error @ w2.T * np.heaviside(h, slope))
        gradients = grad_w1, h_relu.T @ (2 * error)
        for weight, gradient, moment in zip((w1, w2), gradients, moments, strict=True):
            moment[0] = 0.9 * moment[0] + 0.1 * gradient
            moment[1] = 0.999 * moment[1] + 0.001 * gradient**2
            weight -= cfg.lr * decay * weight
            if epsilon_hat:
                weight -= cfg.lr * np.sqrt(c2) / c1 * moment[0] / (np.sqrt(moment[1]) + eps)
            else:
                weight -= cfg.lr * (moment[0] / c1) / (np.sqrt(moment[1] / c2) + eps)
    return w1, w2


@mutant()
def adam_unsaid(cfg):
    return (yield from adam_with(cfg))


@mutant()
def adam_unsaid_with_another_epsilon(cfg):
    return (yield from adam_with(cfg, eps=1e-7))


@mutant("adam")
def adam_slope_of_minus_1_at_zero(cfg):
    return (yield from adam_with(cfg, slope=-1.0))


@mutant("adam")
def adam_slope_of_5_at_zero(cfg):
    return (yield from adam_with(cfg, slope=5.0))


@mutant("adam")
def adam_epsilon_hat(cfg):
    return (yield from adam_with(cfg, epsilon_hat=True))


@mutant("adam")
def adam_eps_1e_7(cfg):
    return (yield from adam_with(cfg, eps=1e-7))


@mutant("adam")
def adam_without_bias_correction(cfg):
    return (yield from adam_with(cfg, correct=False))


@mutant()
def float32_inside(cfg):
    x, y, w1, w2 = (array.astype(np.float32) for array in cfg.problem())
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield np.float64(loss)
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= np.float32(cfg.lr) * grad_w1
        w2 -= np.float32(cfg.lr) * grad_w2
    return w1.astype(float), w2.astype(float)


@mutant()
def float32_gradients(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1.astype(np.float32)
        w2 -= cfg.lr * grad_w2.astype(np.float32)
    return w1, w2


@mutant()
def weights_not_returned(cfg):
    yield from descend(cfg)


@mutant()
def starting_weights_returned(cfg):
    yield from descend(cfg)
    return tuple(start(cfg)[2:])


@mutant()
def data_reshuffled(cfg):
    x, y, w1, w2 = start(cfg)
    rng = np.random.default_rng(cfg.seed)
    for step in cfg.steps():
        if step:
            x = x[rng.permutation(cfg.N)]
        h, h_relu, error, loss = forward(x, y, w1, w2)
        yield loss
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant()
def stale_weights(cfg):
    """The gradient is taken at the weights of the step before."""
    x, y, w1, w2 = start(cfg)
    old1, old2 = w1.copy(), w2.copy()
    for _ in cfg.steps():
        yield forward(x, y, w1, w2)[3]
        h, h_relu, error, _ = forward(x, y, old1, old2)
        grad_w1, grad_w2 = backward(x, h, h_relu, error, old2)
        old1, old2 = w1.copy(), w2.copy()
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
    return w1, w2


@mutant()
def not_training(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        yield forward(x, y, w1, w2)[3]
    return w1, w2


@mutant("dynamic", momentum=0.9, bias=True, init="uniform")
def dynamic_net_zeroed_gradients(cfg):
    """A middle layer that is not applied gets a zero gradient and so still moves by momentum."""
    import torch
    from twolayer.impls.dynamic_net import DynamicNet

    x, y, *weights = (torch.tensor(array) for array in cfg.problem(middle=True))
    model = DynamicNet(cfg.D_in, cfg.H, cfg.D_out, cfg.bias, cfg.seed).to(x)
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight.t())
            parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.lr, momentum=cfg.momentum)
    for _ in cfg.steps():
        loss = (model(x) - y).pow(2).sum()
        yield loss.detach()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
    return [parameter.t().numpy(force=True) for parameter in model.parameters()]


def varied(
    cfg,
    *,
    relu=lambda h: np.maximum(h, 0),
    slope=lambda h: 1.0 * (h >= 0),
    clip=lambda gradients: gradients,
    rate=lambda part, step: 1.0,
    velocity=lambda v, g, m: (g, g),
):
    """Right but for one of its parts."""
    x, y, w1, w2 = start(cfg)
    state = [None, None]
    for step in cfg.steps():
        h = x @ w1
        error = relu(h) @ w2 - y
        yield np.square(error).sum()
        gradients = x.T @ (2 * error @ w2.T * slope(h)), relu(h).T @ (2 * error)
        for i, (weight, gradient) in enumerate(zip((w1, w2), clip(gradients), strict=True)):
            state[i], update = velocity(state[i], gradient, cfg.momentum)
            weight -= cfg.lr * rate(step / cfg.epochs, step) * update
    return w1, w2


@mutant()
def no_relu(cfg):
    return (yield from varied(cfg, relu=lambda h: h, slope=np.ones_like))


@mutant()
def leaky_relu(cfg):
    leaky = {
        "relu": lambda h: np.where(h > 0, h, 0.01 * h),
        "slope": lambda h: np.where(h > 0, 1, 0.01),
    }
    return (yield from varied(cfg, **leaky))


@mutant()
def only_w2_trained(cfg):
    return (yield from varied(cfg, slope=np.zeros_like))


@mutant()
def losses_after_the_update(cfg):
    x, y, w1, w2 = start(cfg)
    for _ in cfg.steps():
        h, h_relu, error, _ = forward(x, y, w1, w2)
        grad_w1, grad_w2 = backward(x, h, h_relu, error, w2)
        w1 -= cfg.lr * grad_w1
        w2 -= cfg.lr * grad_w2
        yield forward(x, y, w1, w2)[3]
    return w1, w2


@mutant()
def values_clipped(cfg):
    return (yield from varied(cfg, clip=lambda gs: [np.clip(g, -5, 5) for g in gs]))


def norm_clipped(gradients, least):
    norm = np.sqrt(sum(np.square(g).sum() for g in gradients))
    return [g * min(1, 10 / (norm + least)) for g in gradients]


@mutant()
def norm_clipped_by_hand(cfg):
    return (yield from varied(cfg, clip=lambda gs: norm_clipped(gs, 0)))


@mutant()
def norm_clipped_by_pytorch(cfg):
    return (yield from varied(cfg, clip=lambda gs: norm_clipped(gs, 1e-6)))


@mutant()
def lr_decays_by_a_thousandth(cfg):
    return (yield from varied(cfg, rate=lambda part, step: 0.999**step))


@mutant()
def lr_falls_linearly(cfg):
    return (yield from varied(cfg, rate=lambda part, step: 1 - part))


@mutant()
def lr_falls_by_a_cosine(cfg):
    return (yield from varied(cfg, rate=lambda part, step: (1 + np.cos(np.pi * part)) / 2))


@mutant(momentum=0.9)
def momentum_dampened(cfg):
    """As PyTorch does it: not at the first step."""

    def velocity(v, g, m):
        new = g if v is None else m * v + 0.1 * g
        return new, new

    return (yield from varied(cfg, velocity=velocity))


@mutant("adam")
def adam_w(cfg):
    return (yield from adam_with(cfg, decay=0.01))
