"""What a process does that is forked to train once, or to try the rules of the contract."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from threadpoolctl import threadpool_info

from ..config import frameworks
from ..config.settings import Config
from ..errors import listed
from . import contract
from .loading import Loaded, load_module
from .loop import Training, in_json
from .worker import Leash, Send, peak_bytes, status_bytes


def train(
    job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send
) -> dict[str, Any]:
    """Train once; returns the part of the record that only this process knows."""
    framework = job["framework"]
    loaded = Loaded(job)
    begun = time.perf_counter()
    function = load_module(job).train
    import_s = time.perf_counter() - begun + sum(imports.get(m, 0.0) for m in job["preload"])
    device = frameworks.resolve_device(job["config"]["device"], framework)
    cfg = Config(**(job["config"] | {"device": device, "threads": job["threads"]}))
    known = {"import_s": import_s, "device": device, "start_bytes": status_bytes("VmRSS")}
    send({"event": "training", **known})

    def report(epoch: int, loss: float) -> None:
        send({"event": "progress", "epoch": epoch, "loss": in_json(loss)})

    def so_far(outcome: str) -> dict[str, Any]:
        done = training.so_far(outcome) | known
        return done | {"peak_bytes": peak_bytes(), "gpu": gpu(device)}

    training = Training(cfg, report)
    leash.hold(training.clock, so_far)
    result = training.run(function)
    return result | {
        **known,
        "notes": list(notes_on(result, cfg.dtype, framework)),
        "peak_bytes": peak_bytes(),
        "threads": frameworks.threads_in_use(framework),
        "blas": blas(),
        "gpu": gpu(device),
        "also_loaded": loaded.sha256(),
    }


def notes_on(result: dict[str, Any], dtype: str, framework: str) -> Iterator[str]:
    """Remarks on a run, to be shown beside its numbers."""
    if result["outcome"] == "ok" and result["step_us"] is None:
        reason = "its steps are not timed: their losses never catch up with them"
        yield f"{reason}; {contract.PULL_CHUNKS}"
    if computed := result["computed_dtype"]:
        hint = "; in JAX, set jax_enable_x64" if framework == "jax" else ""
        yield f"asked for {dtype}, computed in {computed}{hint}"


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


def rules(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Try the rules of the contract; returns a verdict by rule."""
    from .check import check

    verdicts = check(load_module(job).train)
    return {"outcome": "ok", "error": None, "verdicts": verdicts, "borrowed": borrowed(job)}


def borrowed(job: dict[str, Any]) -> str:
    """Whether an implementation has imported work of ours, that it could pass off as its own."""
    ours = ("twolayer.verify.reference", "twolayer.impls.")
    names = sorted(m for m in sys.modules if m.startswith(ours) and m != job["module"])
    return f"it imports {listed(names)}: that it agrees with ours proves nothing" if names else ""
