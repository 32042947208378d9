"""What a process does that is forked to train once, or to try the rules of the contract."""

import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_info

from ..config import frameworks
from ..config.settings import Config
from ..errors import listed
from .check import try_rules
from .contract import PULL_CHUNKS
from .loading import Loaded, load_module
from .loop import Training, in_json
from .worker import Task, peak_bytes, status_bytes


def load_task(task: Task) -> tuple[ModuleType, float, Config]:
    """The implementation of a job, the seconds of all its imports, and its settings here."""
    job, begun = task.job, time.perf_counter()
    module = load_module(job)
    import_s = time.perf_counter() - begun + sum(task.imports.get(m, 0.0) for m in job["preload"])
    device = frameworks.resolve_device(job["config"]["device"], job["framework"])
    return module, import_s, Config(**job["config"] | {"device": device, "threads": job["threads"]})


def train(task: Task) -> dict[str, Any]:
    """Train once; returns the part of the record that only this process knows."""
    framework, loaded = task.job["framework"], Loaded(task.job)
    module, import_s, cfg = load_task(task)
    known = {"import_s": import_s, "device": cfg.device, "start_bytes": status_bytes("VmRSS")}
    task.send("training", **known)

    def whole(result: dict[str, Any]) -> dict[str, Any]:
        return result | known | {"peak_bytes": peak_bytes(), "gpu": gpu(cfg.device)}

    def report(epoch: int, loss: float) -> None:
        task.send("progress", epoch=epoch, loss=in_json(loss))

    training = Training(module.train, cfg, report)
    task.stoppable(training.clock, lambda reason: whole(training.so_far(reason)))
    result = whole(training.run())
    blas = {f"{p['internal_api']} {p['version']}" for p in threadpool_info() if p["version"]}
    return result | {
        "notes": list(notes_on(result, cfg.dtype, framework)),
        "threads": frameworks.threads_in_use(framework),
        "blas": ", ".join(sorted(blas)),
        "also_loaded": loaded.sha256(),
    }


def notes_on(result: dict[str, Any], dtype: str, framework: str) -> Iterator[str]:
    """Remarks on a run, to be shown beside its numbers."""
    if result["outcome"] == "ok" and result["step_us"] is None:
        reason = "its steps are not timed: their losses never catch up with them"
        yield f"{reason}; {PULL_CHUNKS}"
    if computed := result["computed_dtype"]:
        hint = "; in JAX, set jax_enable_x64" if framework == "jax" else ""
        yield f"asked for {dtype}, computed in {computed}{hint}"


def gpu(device: str) -> dict[str, str] | None:
    """Name and driver of the GPU trained on, if any."""
    if not device.startswith("cuda"):
        return None
    number, fields = device.partition(":")[2] or "0", "--query-gpu=name,driver_version"
    query = ["nvidia-smi", f"--id={number}", fields, "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        name, driver = out.strip().split(", ")
    except (OSError, subprocess.SubprocessError, ValueError):
        name = driver = "?"
    return {"name": name, "driver": driver}


def rules(task: Task) -> dict[str, Any]:
    """Try the rules of the contract; returns a verdict by rule."""
    verdicts = try_rules(load_module(task.job).train)
    return {"outcome": "ok", "error": None, "verdicts": verdicts, "borrowed": borrowed(task.job)}


def borrowed(job: dict[str, Any]) -> str:
    """Whether an implementation has imported work of ours, that it could pass off as its own."""
    ours = ("twolayer.verify.reference", "twolayer.impls.")
    names = sorted(m for m in sys.modules if m.startswith(ours) and m != job["module"])
    return f"it imports {listed(names)}: that it agrees with ours proves nothing" if names else ""
