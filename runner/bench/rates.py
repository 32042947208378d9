"""What this machine can do at most: its rate of matrix products and of copying memory."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import machine
from ..config import frameworks
from ..training.worker import Task
from .blocks import BLOCK_US, barrier

SIDE = {"cpu": 1024, "cuda": 8192, "mps": 4096}  # rows of the square matrices multiplied
COPIED_BYTES = {"cpu": 1 << 26, "cuda": 1 << 31, "mps": 1 << 28}  # or 4 times the cache, if more
BLOCKS = 3

Calls = tuple[Callable[[], Any], Callable[[], Any]]  # a matrix product, and a copy


def measure_rates(task: Task) -> dict[str, Any]:
    """The best rates of some blocks: `matmul_gflops`, and `copy_gb_s` (read and written).

    With the framework of the job, or with NumPy if that is none of PROBES.
    """
    job = task.job
    by = job["framework"] if job["framework"] in PROBES else "numpy"
    device, dtype = frameworks.resolve_device(job["config"]["device"], by), job["config"]["dtype"]
    kind, itemsize = device.partition(":")[0], np.dtype(dtype).itemsize
    side, copied = SIDE[kind], max(COPIED_BYTES[kind], 4 * (machine.cache_bytes() or 0))
    multiply, copy = PROBES[by](device, dtype, side, copied // itemsize)
    wait = barrier(device)
    rates = {
        "matmul_gflops": 2 * side**3 / best_s(multiply, wait) / 1e9,
        "copy_gb_s": 2 * copied / best_s(copy, wait) / 1e9,
    }
    return {"outcome": "ok", "error": None, "rates": rates, "by": by}


def _numpy(device: str, dtype: str, side: int, count: int) -> Calls:
    a, b = np.random.default_rng(0).random((2, side, side)).astype(dtype)
    out = np.empty_like(a)
    source, target = np.ones(count, dtype), np.empty(count, dtype)
    return lambda: np.matmul(a, b, out=out), lambda: np.copyto(target, source)


def _torch(device: str, dtype: str, side: int, count: int) -> Calls:
    import torch

    made: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    a, b = torch.rand(2, side, side, **made)
    out = torch.empty_like(a)
    source, target = torch.ones(count, **made), torch.empty(count, **made)
    return lambda: torch.mm(a, b, out=out), lambda: target.copy_(source)


def _tensorflow(device: str, dtype: str, side: int, count: int) -> Calls:
    import tensorflow as tf

    def there(make: Callable[[], Any]) -> Any:
        with tf.device(device.replace("cuda", "gpu")):
            return make()

    a, b = there(lambda: tf.random.uniform((2, side, side), dtype=dtype))
    source = there(lambda: tf.ones(count, dtype))
    return lambda: there(lambda: tf.linalg.matmul(a, b)), lambda: there(lambda: -source)


PROBES = {"numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow}


def best_s(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Seconds of one call in the fastest block, after one that warms up."""
    calls = 1
    blocks: list[float] = []
    while len(blocks) <= BLOCKS:
        begun = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        elapsed = time.perf_counter() - begun
        if elapsed * 1e6 < BLOCK_US:
            calls *= 2
        else:
            blocks.append(elapsed / calls)
    return min(blocks[1:])
