"""The problem that every implementation trains on: random data, random starting weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .settings import Config


def draw(cfg: Config, *, middle: bool = False) -> tuple[np.ndarray, ...]:
    """Draw data and starting weights from ``numpy.random.default_rng(cfg.seed)``.

    Everything is drawn in float64 and then rounded, so a seed means the same problem in
    every dtype. The draws follow one fixed order with the optional parts last, so `bias`
    and `middle` never change the values of the rest.
    """
    rng = np.random.default_rng(cfg.seed)
    x = rng.standard_normal((cfg.N, cfg.D_in))
    y = rng.standard_normal((cfg.N, cfg.D_out))
    w1 = _weights(rng, cfg.init, cfg.D_in, (cfg.D_in, cfg.H))
    w2 = _weights(rng, cfg.init, cfg.H, (cfg.H, cfg.D_out))
    b1 = _weights(rng, cfg.init, cfg.D_in, (cfg.H,))
    b2 = _weights(rng, cfg.init, cfg.H, (cfg.D_out,))
    layers = [(w1, b1), (w2, b2)]
    if middle:
        w = _weights(rng, cfg.init, cfg.H, (cfg.H, cfg.H))
        layers.insert(1, (w, _weights(rng, cfg.init, cfg.H, (cfg.H,))))
    weights = [part for layer in layers for part in (layer if cfg.bias else layer[:1])]
    return tuple(array.astype(cfg.dtype) for array in (x, y, *weights))


def _weights(
    rng: np.random.Generator, init: str, fan_in: int, shape: tuple[int, ...]
) -> np.ndarray:
    if init == "normal":
        return rng.standard_normal(shape)
    bound = 1 / np.sqrt(fan_in)  # what torch.nn.Linear draws weights and biases from
    return rng.uniform(-bound, bound, shape)


def weight_shapes(cfg: Config, *, middle: bool = False) -> list[tuple[int, ...]]:
    """The shapes of the weights that `draw` draws, in their order."""
    widths = [cfg.D_in, *([cfg.H] * (1 + middle)), cfg.D_out]
    layers = [((rows, columns), (columns,)) for rows, columns in pairwise(widths)]
    return [shape for layer in layers for shape in (layer if cfg.bias else layer[:1])]


def bytes_needed(cfg: Config) -> dict[str, int]:
    """A lower bound, in bytes, on the memory that any implementation needs, by what sets it.

    The network: data, hidden activations and their gradient, weights and their gradients.
    The epochs: a loss and the time of each.
    """
    data = cfg.N * (cfg.D_in + cfg.D_out)
    activations = 2 * cfg.N * (cfg.H + cfg.D_out)
    weights = 2 * cfg.H * (cfg.D_in + cfg.D_out)
    network = np.dtype(cfg.dtype).itemsize * (data + activations + weights)
    largest = max(("N", "H", "D_in", "D_out"), key=lambda name: getattr(cfg, name))
    return {largest: network, "epochs": 24 * cfg.epochs}
