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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from ..config.settings import Config

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Arrays = list[np.ndarray]
Named = dict[str, np.ndarray]

Optimizer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of one weight: from its value and gradient to its value in the next step."""


@dataclass
class SGD:
    """Gradient descent, with momentum as PyTorch defines it."""

    cfg: Config
    momentum: float | None = None  # in place of the config's
    nesterov: bool = False
    dampening: float = 0.0
    velocity: Any = None

    def __call__(self, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        if momentum := self.cfg.momentum if self.momentum is None else self.momentum:
            if self.velocity is None:
                self.velocity = gradient
            else:
                self.velocity = momentum * self.velocity + (1 - self.dampening) * gradient
            gradient = gradient + momentum * self.velocity if self.nesterov else self.velocity
        return weight - self.cfg.lr * gradient


@dataclass
class Adam:
    """Adam as published: epsilon is added after the correction for bias.

    What programs make of it has another `epsilon`, adds that before the correction (`hat`: the
    paper's epsilon-hat), or corrects for other `betas`: not at all where both are 0.
    """

    cfg: Config
    epsilon: float = EPSILON
    betas: tuple[float, float] = (BETA1, BETA2)
    hat: bool = False
    decay: float = 0.0  # of the weights, apart from the gradient (AdamW)
    t: int = 0
    m: Any = 0.0
    v: Any = 0.0

    def __call__(self, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.t += 1
        self.m = BETA1 * self.m + (1 - BETA1) * gradient
        self.v = BETA2 * self.v + (1 - BETA2) * gradient**2
        first, second = (1 - beta**self.t for beta in self.betas)
        epsilon = self.epsilon / np.sqrt(second) if self.hat else self.epsilon
        update: np.ndarray = self.m / first / (np.sqrt(self.v / second) + epsilon)
        return weight - self.cfg.lr * (update + self.decay * weight)


@dataclass
class Changed:
    """An optimizer that is given, in place of the gradient, what `change` makes of these."""

    plain: Optimizer
    change: "Change"
    weight: Any = None
    gradient: Any = None
    last: Any = None  # the gradient of the step before; at first, this step's
    total: Any = 0.0  # the sum of all gradients so far
    step: int = -1

    def __call__(self, weight: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.step += 1
        self.last = self.gradient if self.step else gradient
        self.weight, self.gradient, self.total = weight, gradient, self.total + gradient
        return self.plain(weight, self.change(self))


Change = Callable[[Changed], np.ndarray]

WEIGHTS = {"w1": "dh", "middle": "hh", "w2": "hk"}
"""The layers' weights, with their axes: inputs d, hidden units h, outputs k."""

Pass = tuple[str, np.ndarray, np.ndarray]
"""A layer, its inputs a_(l-1) and its outputs z_l."""


@dataclass
class Trajectory:
    """What a training came to."""

    losses: np.ndarray  # (epochs,), each taken before its update
    weights: Arrays  # the final ones, in the order of `Config.problem`
    zeros: list[int] = field(default_factory=list)  # epochs where a z of a hidden layer was 0


@dataclass(frozen=True)
class Reference:
    """The program that implementations of a family are held to, with the settings of `config`."""

    config: Config
    family: str = "sgd"
    at_zero: float = 1.0
    optimizer: Callable[[Config], Optimizer] | None = None  # in place of the family's
    change: Change | None = None  # of the gradients that the optimizer is given
    scale: float = 1.0  # what the losses are multiplied by
    leak: float = 0.0  # the slope of its activation below 0
    slopes: tuple[float, float] | None = None  # below and above 0, as its backward pass has them
    early: bool = False  # each layer is updated before the gradient is taken through it
    late: bool = False  # the losses are those after the update
    clip: Callable[[Named], Named] | None = None  # of all gradients
    rate: Callable[[int], float] | None = None  # the learning rate's factor at a step

    def with_(self, **settings: Any) -> Self:
        """The same program with other settings."""
        return replace(self, config=self.config.with_(**settings))

    def problem(self) -> tuple[np.ndarray, ...]:
        """Data and starting weights."""
        return self.config.problem(middle=self.family == "dynamic")

    def weights(self) -> dict[str, str]:
        """The names of its weights, each with its axes."""
        weights = {}
        for name, axes in WEIGHTS.items():
            if name != "middle" or self.family == "dynamic":
                weights[name] = axes
                if self.config.bias:
                    weights[f"bias of {name}"] = axes[1]
        return weights

    def new_optimizer(self) -> Optimizer:
        """One for a weight."""
        default = Adam if self.family == "adam" else SGD
        plain = (self.optimizer or default)(self.config)
        return Changed(plain, self.change) if self.change else plain

    def layers(self) -> list[list[str]]:
        """The layers that each step applies; the middle one 0 to 3 times, from its own stream."""
        cfg = self.config
        depths = np.random.default_rng([cfg.seed, 1]).integers(4, size=cfg.epochs)
        middle = ["middle"] * (self.family == "dynamic")
        return [["w1", *middle * depth, "w2"] for depth in depths.tolist()]

    def forward(self, x: np.ndarray, weights: Named, layers: Sequence[str]) -> list[Pass]:
        """Through all layers; the last outputs are y_pred."""
        passes = []
        for layer in layers:
            z = x @ weights[layer]
            if self.config.bias:
                z = z + weights[f"bias of {layer}"]
            passes.append((layer, x, z))
            x = np.maximum(z, self.leak * z if self.leak else 0)
        return passes

    def slope(self, z: np.ndarray) -> np.ndarray:
        """The derivative of max(z, 0), `at_zero` where z is 0."""
        if self.slopes or self.leak:
            below, above = self.slopes or (self.leak, 1.0)
            slopes: np.ndarray = np.select([z > 0, z < 0], [above, below], self.at_zero)
            return slopes.astype(z.dtype)
        return np.asarray(np.heaviside(z, np.asarray(self.at_zero, z.dtype)))

    def backward(self, passes: Sequence[Pass], y: np.ndarray, weights: Named) -> Named:
        """The gradient of the loss by each weight that was applied."""
        gradients: dict[str, Any] = {}
        delta = 2 * (passes[-1][2] - y)
        for layer, x, z in reversed(passes):
            if z is not passes[-1][2]:
                delta = delta * self.slope(z)
            gradients[layer] = gradients.get(layer, 0) + x.T @ delta
            if self.config.bias:
                bias = f"bias of {layer}"
                gradients[bias] = gradients.get(bias, 0) + delta.sum(axis=0)
            if x is not passes[0][1]:
                delta = delta @ weights[layer].T
        return gradients

    def train(
        self, *, permutation: int | None = None, problem: Sequence[np.ndarray] | None = None
    ) -> Trajectory:
        """Train on the config's problem, or another in the same layout, in the config's dtype.

        `permutation` seeds a random order of examples, inputs, hidden units and outputs: the same
        program in exact arithmetic, with every sum taken in another order.
        """
        names, orders = self.weights(), self._orders(permutation)
        axes = ["nd", "nk", *names.values()]
        x, y, *start = _reordered(problem or self.problem(), axes, orders)
        weights = dict(zip(names, start, strict=True))
        optimizers = {name: self.new_optimizer() for name in names}
        losses, zeros = np.empty(self.config.epochs), []
        with np.errstate(all="ignore"):  # a run may diverge; its losses say so
            for epoch, layers in enumerate(self.layers()):
                passes = self.forward(x, weights, layers)
                losses[epoch] = np.square(passes[-1][2] - y).sum()
                if any((z == 0).any() for _, _, z in passes[:-1]):
                    zeros.append(epoch)
                gradients = self.backward(passes, y, weights)
                gradients = self.clip(gradients) if self.clip else gradients
                rate = self.rate(epoch) if self.rate else 1
                for name in list(gradients):
                    old, new = weights[name], optimizers[name](weights[name], gradients[name])
                    weights[name] = new if rate == 1 else old + rate * (new - old)
                    if self.early:
                        gradients = self.backward(passes, y, weights)
            if self.late:
                last = self.forward(x, weights, layers)[-1][2]
                losses = np.append(losses[1:], np.square(last - y).sum())
            losses *= self.scale
        back = {axis: np.argsort(order) for axis, order in orders.items()}
        return Trajectory(losses, _reordered(weights.values(), axes[2:], back), zeros)

    def _orders(self, seed: int | None) -> Named:
        """An order along each axis (n is that of the examples); None leaves them as they are."""
        cfg, rng = self.config, np.random.default_rng(seed)
        sizes = {"n": cfg.N, "d": cfg.D_in, "h": cfg.H, "k": cfg.D_out}
        shuffled = np.arange if seed is None else rng.permutation
        return {axis: shuffled(size) for axis, size in sizes.items()}


def _reordered(arrays: Iterable[np.ndarray], axes: Iterable[str], orders: Named) -> Arrays:
    """Arrays in new orders along their axes."""
    pairs = zip(arrays, axes, strict=True)
    return [array[np.ix_(*(orders[axis] for axis in names))] for array, names in pairs]
