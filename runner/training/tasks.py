"""What a process does that is forked to train once, or to try the rules of the contract."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_info

from ..config import frameworks
from ..config.settings import Config
from ..errors import error_data, listed
from . import contract
from .contract import ContractError
from .loading import Loaded, load_module
from .loop import Trained, Training
from .worker import Leash, Send, exception_data, peak_bytes, status_bytes


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
    cfg = Config(**(job["config"] | {"device": device, "threads": job["threads"]}))
    known = {"import_s": import_s, "device": device, "start_bytes": status_bytes("VmRSS")}
    send({"event": "training", **known})

    def report(epoch: int, loss: float) -> None:
        send({"event": "progress", "epoch": epoch, "loss": _json(loss)})

    def so_far(outcome: str) -> dict[str, Any]:
        trained = replace(training.so_far(), outcome=outcome)
        return summed_up(trained, cfg) | known | {"peak_bytes": peak_bytes()}

    function = entry_point(module)
    training = Training(cfg, report)
    leash.hold(training.clock, so_far)
    trained = training.run(function)
    return summed_up(trained, cfg) | {
        **known,
        "notes": list(notes_on(trained, cfg, main)),
        "peak_bytes": peak_bytes(),
        "threads": frameworks.threads_in_use(main),
        "blas": blas(),
        "also_loaded": loaded.sha256(),
    }


def summed_up(trained: Trained, cfg: Config) -> dict[str, Any]:
    """A training as data for a record."""
    finite = [loss for loss in trained.losses if math.isfinite(loss)]
    reason = exception_data(trained.error) if trained.error else None
    if trained.outcome == "diverged":
        last = f"the last finite loss is {finite[-1]:.6g}" if finite else "no loss was finite"
        message = f"loss is {trained.losses[-1]} at epoch {len(trained.losses) - 1}; {last}"
        reason = error_data("Diverged", message)
    return {
        "outcome": trained.outcome,
        "error": reason,
        "epochs_done": len(finite),
        "final_loss": finite[-1] if finite else None,
        "losses": [_json(loss) for loss in trained.losses],
        "setup_s": trained.setup_s,
        "train_s": trained.train_s,
        "step_us": trained.step_us,
        "computed_dtype": trained.computed_dtype,
        "gpu": gpu(cfg.device),
    }


def notes_on(trained: Trained, cfg: Config, framework: str) -> Iterator[str]:
    """What to say of a run beside its numbers."""
    if trained.outcome == "ok" and trained.step_us is None:
        yield (
            "its steps are not timed: their losses never catch up with them; "
            f"{contract.PULL_CHUNKS}"
        )
    if trained.computed_dtype:
        hint = "; in JAX, set jax_enable_x64" if framework == "jax" else ""
        yield f"asked for {cfg.dtype}, computed in {trained.computed_dtype}{hint}"


def _json(loss: float) -> float | str:
    """A loss for JSON, which has no word for nan and inf."""
    return loss if math.isfinite(loss) else str(loss)


def blas() -> str:
    """Name and version of the BLAS libraries loaded here."""
    names = {f"{p['internal_api']} {p['version']}" for p in threadpool_info() if p["version"]}
    return ", ".join(sorted(names))


def gpu(device: str) -> dict[str, str] | None:
    """Name and driver of the GPU trained on, if any."""
    if not device.startswith("cuda"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        name, driver = out.strip().splitlines()[int(device.partition(":")[2] or 0)].split(", ")
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        name = driver = "?"
    return {"name": name, "driver": driver}


def entry_point(module: Any) -> Any:
    """The `train` of an implementation; raises ContractError if there is none."""
    if not callable(getattr(module, "train", None)):
        raise ContractError("the file has no function train(cfg)")
    return module.train


def rules(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Try the rules of the contract; returns a verdict by rule."""
    from .check import check

    train = entry_point(load_module(job))
    verdicts = check(train)
    return {"outcome": "ok", "error": None, "verdicts": verdicts, "borrowed": borrowed(job)}


def borrowed(job: dict[str, Any]) -> str:
    """Whether an implementation has imported work of ours, that it could pass off as its own."""
    ours = ("twolayer.verify.reference", "twolayer.impls.")
    if found := sorted(m for m in sys.modules if m.startswith(ours) and m != job["module"]):
        return f"it imports {listed(found)}: that it agrees with ours proves nothing"
    return ""
