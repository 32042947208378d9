"""What the runner knows of each framework, and never imports one to say it."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError

DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Framework:
    """A framework that an implementation may import.

    Attributes:
        devices: where it can train, as the words of the `device` setting.
        forks: whether a process that has only imported it may be forked.
        deferred: what it imports late: the attribute that sets it off, the module it loads.
    """

    name: str
    devices: tuple[str, ...] = DEVICES
    forks: bool = False
    deferred: tuple[tuple[str, str], ...] = ()


KNOWN = {
    framework.name: framework
    for framework in (
        Framework("numpy", devices=("cpu",), forks=True),
        # The first torch.optim optimizer imports torch._dynamo: seconds that are no set-up.
        Framework("torch", forks=True, deferred=(("torch.optim", "torch._dynamo"),)),
        Framework("tensorflow", devices=("cpu", "cuda"), forks=True),
        Framework("jax", devices=("cpu", "cuda")),
    )
}


def main_framework(imports: tuple[str, ...]) -> str:
    """The framework that gives an implementation its name tag: NumPy only where it is alone."""
    known = [name for name in imports if name in KNOWN and name != "numpy"]
    return (known or list(imports) or ["python"])[0]


def is_installed(package: str) -> bool:
    """Whether there is a package of this name to import."""
    return package in sys.modules or find_spec(package) is not None


def install_hint(package: str) -> str:
    """What to do about a missing package; nothing is advised for one that we don't know."""
    if package == "tensorflow" and sys.version_info >= (3, 14):
        return "tensorflow has no wheels for Python 3.14 yet; use Python 3.11 to 3.13"
    return f"{package} is not installed" + (f"; pip install {package}" if package in KNOWN else "")


def missing(imports: tuple[str, ...]) -> str:
    """Why an implementation can't start: the frameworks that are missing, and what to do.

    Whether it can do without another package is for the run to tell.
    """
    lacking = (name for name in imports if name in KNOWN and not is_installed(name))
    return "; ".join(map(install_hint, lacking))


def resolve_device(asked: str, main: str) -> str:
    """The device to train on: `auto` becomes `cuda` or `cpu`, anything else is checked.

    Imports the framework `main`, so only the process that trains calls this.
    Raises UserError if the framework does not see the device.
    """
    if asked == "cpu" or (asked == "auto" and main not in ("torch", "tensorflow", "jax")):
        return "cpu"
    count = _cuda_count(main)
    if asked == "auto":
        return "cuda" if count else "cpu"
    if asked == "mps":
        import torch

        if not torch.backends.mps.is_available():
            raise UserError("device mps: torch sees no Apple GPU here; use --device cpu")
        return asked
    index = int(asked.partition(":")[2] or 0)
    if index >= count:
        seen = f"only {count} CUDA device(s)" if count else "no CUDA device"
        raise UserError(f"device {asked}: {main} sees {seen} here; use --device cpu or auto")
    return asked


def _cuda_count(main: str) -> int:
    if main == "torch":
        import torch

        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    if main == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU"))
    if main == "jax":
        import jax

        return sum(device.platform == "gpu" for device in jax.devices())
    return 0


def threads_in_use(main: str) -> int | None:
    """The CPU threads that the loaded framework computes with, by its own account."""
    if main == "torch":
        import torch

        return int(torch.get_num_threads())
    if main == "tensorflow":
        return int(os.environ["TF_NUM_INTRAOP_THREADS"])  # it has no call that tells
    if main == "jax":
        return _threads_named("tf_XLAEigen")
    if main not in ("numpy", "python"):
        return None  # what others compute with is not known
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(pools, default=None)


def _threads_named(name: str) -> int | None:
    """How many threads of this process have a name; None if none has, or that can't be told."""
    found = 0
    for path in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it may have ended
            found += path.read_text().strip() == name
    return found or None


def set_tf32(main: str, *, allowed: bool) -> None:
    """Let a framework round the inputs of float32 products on a GPU to TF32, or not."""
    if main == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = allowed
    elif main == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)
    elif main == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "float32")
