"""The reference: the network, its gradient and its updates in NumPy, written from the maths.

It shares nothing with impls/, and it is general where they are particular: any depth, with or
without biases, SGD with momentum or Adam, either precision, any convention for the slope of
the ReLU at zero, and sums taken in any order.

With layers l = 1 … L, a_0 = x, z_l = a_(l-1) W_l + b_l, a_l = max(z_l, 0), y_pred = z_L:

    loss = sum((z_L - y)^2)          d_L = 2 (z_L - y)
    dW_l = a_(l-1)^T d_l             db_l = sum over rows of d_l
    d_(l-1) = (d_l W_l^T) * slope(z_(l-1))

where slope(z) is 1 for z > 0, 0 for z < 0, and `at_zero` for z = 0. A layer that is applied
several times collects the sum of its gradients; one that is not applied gets none, and an
optimizer then leaves it and its state alone.

SGD with momentum m (PyTorch's): v <- m v + g, w <- w - lr v, with v = g at a weight's first step.
Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ..config.settings import Config

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Arrays = list[np.ndarray]
Gradients = list[np.ndarray | None]
Betas = tuple[float, float]


@dataclass
class Trajectory:
    """What a training came to."""

    losses: np.ndarray  # (epochs,), each taken before its update
    weights: Arrays  # the final ones, in the order of `Config.problem`
    zeros: list[int] = field(default_factory=list)  # epochs where a z of a hidden layer was 0


@dataclass(frozen=True)
class Net:
    """How the weights make up the layers: `bias` after each weight, `middle` layer or not."""

    bias: bool
    middle: bool
    at_zero: float = 1.0

    def layers(self, depth: int) -> list[int]:
        """The index of the weight of each layer in turn, the middle one `depth` times."""
        stride = 2 if self.bias else 1
        return [0, *[stride] * depth, 2 * stride] if self.middle else [0, stride]

    def forward(self, x: np.ndarray, weights: Arrays, depth: int) -> tuple[Arrays, Arrays]:
        """Pre-activations z_1 … z_L and the inputs a_0 … a_(L-1) of the layers."""
        inputs, outputs = [x], []
        for layer in self.layers(depth):
            z = inputs[-1] @ weights[layer]
            if self.bias:
                z = z + weights[layer + 1]
            outputs.append(z)
            inputs.append(np.maximum(z, 0))
        return outputs, inputs[:-1]

    def slope(self, z: np.ndarray) -> np.ndarray:
        """The derivative of max(z, 0), `at_zero` where z is 0."""
        return np.asarray(np.heaviside(z, np.asarray(self.at_zero, z.dtype)))

    def backward(
        self, outputs: Arrays, inputs: Arrays, y: np.ndarray, weights: Arrays, depth: int
    ) -> Gradients:
        """The gradient of the loss by weight; None for a layer that was not applied."""
        gradients: Gradients = [None] * len(weights)
        delta = 2 * (outputs[-1] - y)
        for position, layer in reversed(list(enumerate(self.layers(depth)))):
            _add(gradients, layer, inputs[position].T @ delta)
            if self.bias:
                _add(gradients, layer + 1, delta.sum(axis=0))
            if position:
                delta = (delta @ weights[layer].T) * self.slope(outputs[position - 1])
        return gradients


def _add(gradients: Gradients, index: int, term: np.ndarray) -> None:
    so_far = gradients[index]
    gradients[index] = term if so_far is None else so_far + term


class Optimizer:
    """Updates each weight that has a gradient; keeps what it needs of the steps before."""

    def step(self, weights: Arrays, gradients: Gradients) -> None:
        """Put the weights of the next step in their list."""
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                weights[i] = self.updated(i, weights[i], gradient)

    def updated(self, i: int, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """The weight of number `i` after a step."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, with momentum as PyTorch defines it."""

    def __init__(self, lr: float, momentum: float = 0.0) -> None:
        self.lr, self.momentum = lr, momentum
        self.velocity: dict[int, np.ndarray] = {}

    def updated(self, i: int, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        if self.momentum:
            if i in self.velocity:
                gradient = self.momentum * self.velocity[i] + gradient
            self.velocity[i] = gradient
        return weight - self.lr * gradient


class Adam(Optimizer):
    """Adam as published: epsilon is added after the correction for bias.

    What programs make of it has another `epsilon`, adds that before the correction (`hat`: the
    paper's epsilon-hat), or corrects for other `betas`: not at all where both are 0.
    """

    def __init__(
        self, lr: float, epsilon: float = EPSILON, betas: Betas = (BETA1, BETA2), hat: bool = False
    ) -> None:
        self.lr, self.epsilon, self.betas, self.hat = lr, epsilon, betas, hat
        self.moments: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}

    def updated(self, i: int, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        t, m, v = self.moments.get(i, (0, np.zeros_like(gradient), np.zeros_like(gradient)))
        t, m = t + 1, BETA1 * m + (1 - BETA1) * gradient
        v = BETA2 * v + (1 - BETA2) * gradient**2
        self.moments[i] = (t, m, v)
        first, second = (1 - beta**t for beta in self.betas)
        epsilon = self.epsilon / np.sqrt(second) if self.hat else self.epsilon
        return weight - self.lr * (m / first / (np.sqrt(v / second) + epsilon))


def depths(cfg: Config) -> np.ndarray:
    """(epochs,) How often dynamic_net applies its middle layer: 0 to 3, from its own stream."""
    return np.random.default_rng([cfg.seed, 1]).integers(4, size=cfg.epochs)


def train(
    cfg: Config,
    family: str = "sgd",
    *,
    at_zero: float = 1.0,
    permutation: int | None = None,
    problem: Sequence[np.ndarray] | None = None,
    alter: Callable[[Config, Optimizer], Optimizer] | None = None,
) -> Trajectory:
    """Train the reference of a family on a config's problem, in the config's dtype.

    `permutation` seeds a random order of examples, inputs, hidden units and outputs: the same
    program in exact arithmetic, with every sum taken in another order. `problem` stands in for
    `cfg.problem`, in the same layout. `alter` puts another optimizer in place of the family's.
    """
    middle = family == "dynamic"
    x, y, *weights = problem if problem is not None else cfg.problem(middle=middle)
    order = Order(cfg, permutation)
    x, y, weights = order.shuffle(x, y, weights)
    net = Net(cfg.bias, middle, at_zero)
    plain = Adam(cfg.lr) if family == "adam" else SGD(cfg.lr, cfg.momentum)
    optimizer = alter(cfg, plain) if alter else plain
    plan = depths(cfg) if middle else np.zeros(cfg.epochs, int)
    result = Trajectory(np.empty(cfg.epochs), weights)
    with np.errstate(all="ignore"):  # a run may diverge; its losses say so
        for epoch, depth in enumerate(plan):
            outputs, inputs = net.forward(x, weights, int(depth))
            result.losses[epoch] = np.square(outputs[-1] - y).sum()
            if any((z == 0).any() for z in outputs[:-1]):
                result.zeros.append(epoch)
            optimizer.step(weights, net.backward(outputs, inputs, y, weights, int(depth)))
    result.weights = order.restore(weights)
    return result


class Order:
    """An order of examples, inputs, hidden units and outputs; None leaves them as they are."""

    def __init__(self, cfg: Config, seed: int | None) -> None:
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation if seed is not None else np.arange
        sizes = (cfg.N, cfg.D_in, cfg.H, cfg.D_out)
        self.rows, self.d_in, self.h, self.d_out = (shuffled(size) for size in sizes)
        self.bias = cfg.bias

    def _axes(self, count: int) -> list[tuple[np.ndarray, ...]]:
        """The orders along the axes of each weight."""
        layers = count // (2 if self.bias else 1)
        ends = [self.d_in, *[self.h] * (layers - 1), self.d_out]
        axes: list[tuple[np.ndarray, ...]] = []
        for before, after in pairwise(ends):
            axes += [(before, after), (after,)] if self.bias else [(before, after)]
        return axes

    def shuffle(
        self, x: np.ndarray, y: np.ndarray, weights: Arrays
    ) -> tuple[np.ndarray, np.ndarray, Arrays]:
        """Data and weights in this order."""
        moved = [w[np.ix_(*a)] for w, a in zip(weights, self._axes(len(weights)), strict=True)]
        return x[np.ix_(self.rows, self.d_in)], y[np.ix_(self.rows, self.d_out)], moved

    def restore(self, weights: Arrays) -> Arrays:
        """Weights of this order in the original one."""
        axes = self._axes(len(weights))
        return [w[np.ix_(*map(np.argsort, a))] for w, a in zip(weights, axes, strict=True)]
