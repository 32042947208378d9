"""What a process that has been forked for one job does with it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from . import contract, frameworks, worker
from .contract import ContractError, Train
from .errors import listed
from .loading import Loaded, load_module
from .rules import Value
from .training import TimedConfig, Trained, Training, measure
from .worker import Leash, Send, Task, describe, peak_bytes, status_bytes


def train(
    job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send
) -> dict[str, Any]:
    """Train once; returns the part of the record that only this process knows."""
    main = job["framework"]
    loaded = Loaded(job)
    begun = time.perf_counter()
    module = load_module(job)
    import_s = time.perf_counter() - begun + sum(imports.get(m, 0.0) for m in job["preload"])
    device = frameworks.resolve_device(job["config"]["device"], main)
    cfg = TimedConfig(**(job["config"] | {"device": device, "threads": job["threads"]}))
    known = {"import_s": import_s, "device": device, "start_bytes": status_bytes("VmRSS")}
    send({"event": "training", **known})

    def report(epoch: int, loss: float) -> None:
        send({"event": "progress", "epoch": epoch, "loss": _json(loss)})

    run = Training(cfg, report)

    def so_far(outcome: str) -> dict[str, Any]:
        trained = dataclasses.replace(run.result(), outcome=outcome)
        return _result(trained, cfg) | known | {"peak_bytes": peak_bytes()}

    leash.hold(cfg.clock, so_far)
    trained = run.measure(entry_point(module))
    return _result(trained, cfg) | {
        **known,
        "notes": list(notes(trained, cfg, main)),
        "peak_bytes": peak_bytes(),
        "threads": frameworks.threads_in_use(main),
        "blas": blas(),
        "also_loaded": loaded.sha256(),
    }


def _result(trained: Trained, cfg: TimedConfig) -> dict[str, Any]:
    finite = [loss for loss in trained.losses if math.isfinite(loss)]
    error = describe(trained.error) if trained.error else None
    if trained.outcome == "diverged":
        error = _divergence(trained.losses, finite)
    return {
        "outcome": trained.outcome,
        "error": error,
        "epochs_done": len(finite),
        "final_loss": finite[-1] if finite else None,
        "losses": [_json(loss) for loss in trained.losses],
        "setup_s": trained.setup_s,
        "train_s": trained.train_s,
        "step_us": trained.step_us,
        "computed_dtype": trained.computed_dtype,
        "gpu": gpu(cfg.device),
    }


def notes(trained: Trained, cfg: TimedConfig, framework: str) -> Iterator[str]:
    """What is to be said of a run beside its numbers."""
    if trained.outcome == "ok" and trained.step_us is None:
        said = "its steps are not timed: their losses never catch up with them"
        yield f"{said}; {contract.PULL_CHUNKS}"
    if trained.computed_dtype:
        hint = "; in JAX, set jax_enable_x64" if framework == "jax" else ""
        yield f"asked for {cfg.dtype}, computed in {trained.computed_dtype}{hint}"


def _divergence(losses: list[float], finite: list[float]) -> dict[str, Any]:
    last = f"the last finite loss is {finite[-1]:.6g}" if finite else "no loss was finite"
    return _error("Diverged", f"loss is {losses[-1]} at epoch {len(losses) - 1}; {last}")


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "traceback": None, "signal": None}


def _json(loss: float) -> float | str:
    """A loss for JSON, which has no word for nan and inf."""
    return loss if math.isfinite(loss) else str(loss)


def blas() -> str:
    """Name and version of the BLAS libraries loaded here."""
    found = {f"{p['internal_api']} {p['version']}" for p in threadpool_info() if p["version"]}
    return ", ".join(sorted(found))


def gpu(device: str) -> dict[str, str] | None:
    """Name and driver of the GPU trained on, if any."""
    if not device.startswith("cuda"):
        return None
    import subprocess

    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [row.split(", ") for row in out.strip().splitlines()]
        name, driver = rows[int(device.partition(":")[2] or 0)]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {"name": "?", "driver": "?"}
    return {"name": name, "driver": driver}


def entry_point(module: Any) -> Any:
    """The `train` of an implementation; raises ContractError if there is none."""
    if not callable(getattr(module, "train", None)):
        raise ContractError("the file has no function train(cfg)")
    return module.train


def check(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Try the rules of the contract; returns a verdict by rule."""
    from .check import SMALL, check

    train = entry_point(load_module(job))
    verdicts = check(train, SMALL)
    return {"outcome": "ok", "error": None, "verdicts": verdicts, "borrowed": borrowed(job)}


class _Silenced(TimedConfig):
    """Settings whose problem has the first hidden unit at exactly 0."""

    def problem(self, *, middle: bool = False) -> tuple[np.ndarray, ...]:
        from .evidence import silence_unit

        return silence_unit(super().problem(middle=middle), bias=self.bias)


def trainings(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Train once for each of the requests of `verify.Case.requests`; returns what came of it.

    The time that the job may take is counted anew from the start of each training.
    """
    train = entry_point(load_module(job))
    frameworks.set_tf32(job["framework"], allowed=job["tf32"])
    device = frameworks.resolve_device(job["device"], job["framework"])
    fixed = {"device": device, "threads": job["threads"]}
    results = []
    for request in job["requests"]:
        send({"event": "anew"})
        results += train_each(train, [request], fixed)
    return {"outcome": "ok", "error": None, "results": results, "borrowed": borrowed(job)}


def borrowed(job: dict[str, Any]) -> str:
    """Whether an implementation has imported work of ours, that it could pass off as its own."""
    ours = ("twolayer.reference", "twolayer.impls.")
    if found := sorted(m for m in sys.modules if m.startswith(ours) and m != job["module"]):
        return f"it imports {listed(found)}: that it agrees with ours proves nothing"
    return ""


def train_each(
    train: Train, requests: Sequence[dict[str, Any]], fixed: dict[str, Value]
) -> list[dict[str, Any]]:
    """Train once a request, with the settings in `fixed` in place of the request's."""
    from .evidence import pack

    results = []
    for request in requests:
        kind = _Silenced if request.get("zero_unit") else TimedConfig
        cfg = kind(**request["config"] | fixed)
        trained = measure(train, cfg)
        weights = [] if trained.error else [pack(weight) for weight in trained.weights]
        results.append(_result(trained, cfg) | {"weights": weights})
    return results


def blocks(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Time blocks of steps, then, if asked, of the same code with every size 1 (see `Round`)."""
    from .bench import workload
    from .bench.blocks import Amount, BlockTimer, barrier, time_blocks

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
        result["error"] = _error("Diverged", message)
    elif result["outcome"] == "ok":
        result["flops"] = workload.said(module, TimedConfig(**values))
    if result["outcome"] == "ok" and job["dispatch"]:
        with contextlib.suppress(Exception):  # one that can't do with so little has no dispatch
            small = timed(dict.fromkeys(SIZES, 1), Amount(blocks=3, warmup_s=1.0))
            result["dispatch_us"] = statistics.median(small["blocks_us"])
    return result


SIZES = ("N", "H", "D_in", "D_out")


def rates(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Measure the machine with the framework at hand, or with NumPy if it can't."""
    from .bench.rates import PROBES, measure

    main, config = job["framework"], job["config"]
    by = main if main in PROBES else "numpy"
    device = frameworks.resolve_device(config["device"], by)
    found = measure(by, device, config["dtype"])
    return {"outcome": "ok", "error": None, "rates": found, "by": by}


TASKS: dict[str, Task] = {
    "train": train,
    "check": check,
    "trainings": trainings,
    "blocks": blocks,
    "rates": rates,
}


def perform(commands: int, events: int, log: int, imports: dict[str, float]) -> None:
    """Do the job that comes down `commands`, and end the process."""
    worker.perform(commands, events, log, imports, TASKS)
