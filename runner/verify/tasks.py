"""The job of `verify`: the trainings that a verdict needs, in the process forked for it."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..config import frameworks
from ..config.rules import Value
from ..config.settings import Config
from ..training.contract import Train
from ..training.loading import load_module
from ..training.loop import Training
from ..training.tasks import borrowed
from ..training.worker import Leash, Send


def job(cfg: Config) -> dict[str, Any]:
    """What to change in the job of a run, so that its process does the trainings of a verdict.

    In float64 and float32; one step of learning rate 1, whose update is the gradient; the same
    from weights that put the first hidden unit at exactly 0.
    """
    exact, single = (cfg.with_(dtype=dtype) for dtype in ("float64", "float32"))
    step = exact.with_(epochs=1, lr=1.0).values()
    plain = [{"config": values} for values in (exact.values(), single.values(), step)]
    requests = [*plain, {"config": step, "zero_unit": True}]
    task, device = "twolayer.verify.tasks:trainings", cfg.device
    return {"task": task, "requests": requests, "device": device}


def trainings(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Train once for each of the job's requests; returns what came of it.

    The time that the job may take is counted anew from the start of each training.
    """
    train = load_module(job).train
    frameworks.set_tf32(job["framework"], allowed=job["tf32"])
    device = frameworks.resolve_device(job["device"], job["framework"])
    results = []
    for request in job["requests"]:
        send({"event": "anew"})
        results.append(train_once(train, request, device=device, threads=job["threads"]))
    return {"outcome": "ok", "error": None, "results": results, "borrowed": borrowed(job)}


def train_once(train: Train, request: dict[str, Any], **fixed: Value) -> dict[str, Any]:
    """Train as requested, but for the settings in `fixed`."""
    cfg = Config(**request["config"] | fixed)
    silenced = partial(silence_unit, bias=cfg.bias) if request.get("zero_unit") else None
    training = Training(cfg, problem=silenced)
    result = training.run(train)
    weights = _packed([] if training.error else training.weights)
    return result | {"weights": weights, "own_problem": not training.shapes}


def silence_unit(arrays: tuple[np.ndarray, ...], *, bias: bool) -> tuple[np.ndarray, ...]:
    """The same problem with the weights and the bias of the first hidden unit set to 0."""
    arrays[2][:, 0] = 0
    if bias:
        arrays[3][0] = 0
    return arrays


def _packed(arrays: Sequence[np.ndarray]) -> str:
    """Arrays as text, exactly."""
    file = io.BytesIO()
    np.savez(file, *arrays)
    return base64.b64encode(file.getvalue()).decode()


def unpacked(text: str) -> list[np.ndarray]:
    """The arrays that were packed so."""
    return [*np.load(io.BytesIO(base64.b64decode(text))).values()]
