"""What a training step has to do at least, from its shapes alone."""

from __future__ import annotations

from typing import Any

from ..config.rules import numeric
from ..config.settings import Config
from ..training.contract import ContractError

MIDDLE_LAYERS = 1.5
"""How often DynamicNet's middle layer is applied, on average."""


def flops(cfg: Config, family: str) -> float:
    """Floating-point operations of a step's matrix products, an addition and a product two.

    Forward x w1 and a w2; backward both weights' gradients and the hidden layer's. What is
    elementwise (ReLU, loss, update) is left out: it is the lower order.
    """
    first = 2 * 2 * cfg.N * cfg.D_in * cfg.H
    second = 3 * 2 * cfg.N * cfg.H * cfg.D_out
    middle = 3 * 2 * cfg.N * cfg.H * cfg.H * MIDDLE_LAYERS if family == "dynamic" else 0
    return first + second + middle


def said(module: Any, cfg: Config) -> float | None:
    """The operations of a step by an implementation's own `flops(cfg)`; None if it has none.

    Raises ContractError if it returns no such number.
    """
    if not callable(getattr(module, "flops", None)):
        return None
    operations = module.flops(cfg)
    try:
        return float(numeric(float, exclusiveMinimum=0).check(operations))
    except ValueError as error:
        raise ContractError(f"what flops(cfg) returns {error} (got {operations!r})") from None


def traffic_bytes(cfg: Config, family: str) -> float:
    """The least memory traffic of a step in bytes, if no array stays in a cache between uses.

    Each array is counted once for every product that reads or writes it; weights are read
    and written again, with their gradients, by the update (Adam's has two moments as well).
    """
    weights = cfg.D_in * cfg.H + cfg.H * cfg.D_out + (cfg.H**2 if family == "dynamic" else 0)
    moments = 4 if family == "adam" else 0
    activations = 5 * cfg.N * cfg.H + 4 * cfg.N * cfg.D_out
    examples = 2 * cfg.N * cfg.D_in
    return _itemsize(cfg) * (examples + activations + (6 + moments) * weights)


def resident_bytes(cfg: Config, family: str) -> float:
    """What a step touches at least: data, activations, weights and their gradients."""
    weights = cfg.D_in * cfg.H + cfg.H * cfg.D_out + (cfg.H**2 if family == "dynamic" else 0)
    kinds = 4 if family == "adam" else 2
    arrays = cfg.N * (cfg.D_in + 2 * cfg.D_out + 2 * cfg.H)
    return _itemsize(cfg) * (arrays + kinds * weights)


def _itemsize(cfg: Config) -> int:
    return 8 if cfg.dtype == "float64" else 4
