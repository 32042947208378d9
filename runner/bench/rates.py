"""What this machine can do at most: its rate of matrix products and of copying memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import machine
from .blocks import BLOCK_NS, barrier

SIDE = {"cpu": 1024, "cuda": 8192, "mps": 4096}
"""Rows of the square matrices multiplied: enough that nothing but arithmetic counts."""

COPIED_BYTES = {"cpu": 1 << 26, "cuda": 1 << 31, "mps": 1 << 28}
"""Bytes copied at once, or four times the cache where that is more."""

BLOCKS = 3


Calls = tuple[Callable[[], Any], Callable[[], Any]]
"""A matrix product, and a copy."""


def measure(framework: str, device: str, dtype: str) -> dict[str, float]:
    """The best rates of some blocks: `matmul_gflops`, and `copy_gb_s` (read and written).

    `framework` is one of PROBES.
    """
    kind = device.partition(":")[0]
    itemsize = np.dtype(dtype).itemsize
    copied = max(COPIED_BYTES[kind], 4 * (machine.cache_bytes() or 0))
    side, count = SIDE[kind], copied // itemsize
    multiply, copy = PROBES[framework](device, dtype, side, count)
    wait = barrier(device)
    return {
        "matmul_gflops": 2 * side**3 / best_s(multiply, wait) / 1e9,
        "copy_gb_s": 2 * count * itemsize / best_s(copy, wait) / 1e9,
    }


def _numpy(device: str, dtype: str, side: int, count: int) -> Calls:
    rng = np.random.default_rng(0)
    a, b = (rng.random((side, side)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    source, target = np.ones(count, dtype), np.empty(count, dtype)
    return lambda: np.matmul(a, b, out=out), lambda: np.copyto(target, source)


def _torch(device: str, dtype: str, side: int, count: int) -> Calls:
    import torch

    kind = getattr(torch, dtype)
    a, b = (torch.rand(side, side, dtype=kind, device=device) for _ in range(2))
    out = torch.empty_like(a)
    source = torch.ones(count, dtype=kind, device=device)
    target = torch.empty_like(source)
    return lambda: torch.mm(a, b, out=out), lambda: target.copy_(source)


def _tensorflow(device: str, dtype: str, side: int, count: int) -> Calls:
    import tensorflow as tf

    with tf.device(device.replace("cuda", "gpu")):
        a, b = (tf.random.uniform((side, side), dtype=dtype) for _ in range(2))
        source = tf.ones(count, dtype)

    def on_device(call: Callable[[], Any]) -> Callable[[], Any]:
        def wrapped() -> Any:
            with tf.device(device.replace("cuda", "gpu")):
                return call()

        return wrapped

    return on_device(lambda: tf.linalg.matmul(a, b)), on_device(lambda: -source)


PROBES: dict[str, Callable[[str, str, int, int], Calls]] = {
    "numpy": _numpy,
    "torch": _torch,
    "tensorflow": _tensorflow,
}


def best_s(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Seconds of one call in the fastest block, after one that warms up."""
    calls = 1
    best = float("inf")
    blocks = 0
    while blocks <= BLOCKS:
        begun = time.perf_counter_ns()
        for _ in range(calls):
            call()
        wait()
        elapsed = time.perf_counter_ns() - begun
        if elapsed < BLOCK_NS:
            calls *= 2
            continue
        best = min(best, elapsed / calls / 1e9) if blocks else best
        blocks += 1
    return best
