"""What the runner knows of each framework without importing it.

The functions at the end are for a process that has imported it.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UserError

DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Framework:
    """A framework that an implementation may import; functions take the imported module."""

    devices: tuple[str, ...] = DEVICES  # where it can train
    forks: bool = False  # whether a process that has only imported it may be forked
    deferred: tuple[tuple[str, str], ...] = ()  # attributes with the modules that they import
    cuda_devices: Callable[[Any], int] = lambda module: 0
    threads: Callable[[Any], int | None] = lambda module: None  # on the CPU, if it can tell
    set_tf32: Callable[[Any, bool], object] = lambda module, on: None


def _blas_threads(_: Any = None) -> int | None:
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(pools, default=None)


def _threads_named(name: str) -> int | None:
    """How many threads of this process have a name; None if none has, or that can't be told."""
    count = 0
    for path in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it may have ended
            count += path.read_text().strip() == name
    return count or None


KNOWN = {
    "numpy": Framework(("cpu",), forks=True, threads=_blas_threads),
    "torch": Framework(
        forks=True,
        # The first torch.optim optimizer imports torch._dynamo: seconds that are no set-up.
        deferred=(("torch.optim", "torch._dynamo"),),
        cuda_devices=lambda torch: torch.cuda.is_available() and torch.cuda.device_count(),
        threads=lambda torch: torch.get_num_threads(),
        set_tf32=lambda torch, on: setattr(torch.backends.cuda.matmul, "allow_tf32", on),
    ),
    "tensorflow": Framework(
        ("cpu", "cuda"),
        forks=True,
        cuda_devices=lambda tf: len(tf.config.list_physical_devices("GPU")),
        threads=lambda tf: int(os.environ["TF_NUM_INTRAOP_THREADS"]),  # it has no call that tells
        set_tf32=lambda tf, on: tf.config.experimental.enable_tensor_float_32_execution(on),
    ),
    "jax": Framework(
        ("cpu", "cuda"),
        cuda_devices=lambda jax: sum(device.platform == "gpu" for device in jax.devices()),
        threads=lambda jax: _threads_named("tf_XLAEigen"),
        set_tf32=lambda jax, on: jax.config.update(
            "jax_default_matmul_precision", "tensorfloat32" if on else "float32"
        ),
    ),
}


def is_installed(package: str) -> bool:
    """Whether there is a package of this name to import."""
    return package in sys.modules or find_spec(package) is not None


def install_hint(package: str) -> str:
    """What to do about a missing package; nothing is advised for one that we don't know."""
    if package == "tensorflow" and sys.version_info >= (3, 14):
        return "tensorflow has no wheels for Python 3.14 yet; use Python 3.11 to 3.13"
    return f"{package} is not installed" + (f"; pip install {package}" if package in KNOWN else "")


def resolve_device(requested: str, main: str) -> str:
    """The device to train on, by the framework `main`, which is imported.

    `auto` becomes `cuda` or `cpu`; a device that the framework doesn't see is a UserError.
    """
    if requested == "cpu":
        return requested
    if requested == "mps":
        if not import_module("torch").backends.mps.is_available():
            raise UserError("device: must be cpu: torch sees no Apple GPU here (got mps)")
        return requested
    count = int(KNOWN[main].cuda_devices(import_module(main))) if main in KNOWN else 0
    if requested == "auto":
        return "cuda" if count else "cpu"
    if int(requested.partition(":")[2] or 0) >= count:
        seen = f"only {count} CUDA device{'s' * (count > 1)}" if count else "no CUDA device"
        raise UserError(f"device: must be auto or cpu: {main} sees {seen} here (got {requested})")
    return requested


def threads_in_use(main: str) -> int | None:
    """The CPU threads that the loaded framework computes with, by its own account."""
    if main == "python":
        return _blas_threads()
    return KNOWN[main].threads(import_module(main)) if main in KNOWN else None


def set_tf32(main: str, *, allowed: bool) -> None:
    """Let a framework round the inputs of float32 products on a GPU to TF32, or not."""
    if main in KNOWN:
        KNOWN[main].set_tf32(import_module(main), allowed)
