"""The jobs of `bench`: time blocks of steps, and measure what the machine can do."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import Any

from ..config import frameworks
from ..config.settings import Config
from ..errors import error_data
from ..training.loading import load_module
from ..training.tasks import entry_point
from ..training.worker import Leash, Send, peak_bytes, status_bytes
from . import workload
from .blocks import Amount, BlockTimer, barrier, time_blocks
from .rates import PROBES, measure

SIZES = ("N", "H", "D_in", "D_out")


def blocks(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Time blocks of steps, then, if asked, of the same code with every size 1 (see `Round`)."""
    main = job["framework"]
    begun = time.perf_counter()
    module = load_module(job)
    train = entry_point(module)
    import_s = time.perf_counter() - begun + sum(imports.get(m, 0.0) for m in job["preload"])
    device = frameworks.resolve_device(job["config"]["device"], main)
    values = job["config"] | {"device": device, "threads": job["threads"]}

    def timed(sizes: dict[str, int], amount: Amount) -> dict[str, Any]:
        timer = BlockTimer(amount, barrier(device))
        leash.hold(timer, lambda reason: {"outcome": reason, "error": None})
        return time_blocks(train, values | sizes, timer)

    start_bytes = status_bytes("VmRSS")
    result = {"error": None} | timed({}, Amount(**job["amount"]))
    result |= {"peak_bytes": peak_bytes() - start_bytes, "import_s": import_s, "device": device}
    result["threads"] = frameworks.threads_in_use(main)
    if result["outcome"] == "diverged":
        message = "the loss is no longer finite, so what was timed is no training; try a lower lr"
        result["error"] = error_data("Diverged", message)
    elif result["outcome"] == "ok":
        result["flops"] = workload.said(module, Config(**values))
    if result["outcome"] == "ok" and job["dispatch"]:
        with contextlib.suppress(Exception):  # one that can't do with so little has no dispatch
            small = timed(dict.fromkeys(SIZES, 1), Amount(blocks=3, warmup_s=1.0))
            result["dispatch_us"] = statistics.median(small["blocks_us"])
    return result


def rates(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Measure the machine with the framework at hand, or with NumPy if it can't."""
    main, config = job["framework"], job["config"]
    by = main if main in PROBES else "numpy"
    device = frameworks.resolve_device(config["device"], by)
    found = measure(by, device, config["dtype"])
    return {"outcome": "ok", "error": None, "rates": found, "by": by}
