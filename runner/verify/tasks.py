"""The job of `verify`: the trainings that a verdict needs, in the process forked for it."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

# Not ..verify.reference: that it is loaded in a training is the sign of borrowed work.
from ..config import frameworks
from ..config.rules import Value
from ..config.settings import Config
from ..training.contract import Train
from ..training.loop import Training
from ..training.tasks import borrowed, load_task
from ..training.worker import Task


def job(cfg: Config) -> dict[str, Any]:
    """What to change in the job of a run, so that its process does the trainings of a verdict.

    In float64 and float32; one step of learning rate 1, whose update is the gradient; the same
    from weights that put the first hidden unit at exactly 0.
    """
    exact, single = (cfg.with_(dtype=dtype) for dtype in ("float64", "float32"))
    step = exact.with_(epochs=1, lr=1.0).values()
    plain = [{"config": values} for values in (exact.values(), single.values(), step)]
    requests = [*plain, {"config": step, "zero_unit": True}]
    return {"task": "twolayer.verify.tasks:trainings", "requests": requests}


def trainings(task: Task) -> dict[str, Any]:
    """Train once for each of the job's requests; returns what came of it.

    The time that the job may take is counted anew from the start of each training.
    """
    module, _, cfg = load_task(task)
    frameworks.set_tf32(task.job["framework"], allowed=task.job["tf32"])
    results = []
    for request in task.job["requests"]:
        task.send("anew")
        results.append(train_once(module.train, request, device=cfg.device, threads=cfg.threads))
    return {"outcome": "ok", "error": None, "results": results, "borrowed": borrowed(task.job)}


def train_once(train: Train, request: dict[str, Any], **fixed: Value) -> dict[str, Any]:
    """Train as requested, but for the settings in `fixed`."""
    cfg = Config(**request["config"] | fixed)
    zero_unit = request.get("zero_unit")
    alter = partial(silence_unit, bias=cfg.bias) if zero_unit else lambda arrays: None
    training = Training(train, cfg, problem=alter)
    result = training.run()
    weights = _packed([] if training.error else training.weights)
    return result | {"weights": weights, "own_problem": not training.call.shapes}


def silence_unit(arrays: tuple[np.ndarray, ...], *, bias: bool) -> None:
    """Set the weights and the bias of a problem's first hidden unit to 0."""
    arrays[2][:, 0] = 0
    if bias:
        arrays[3][0] = 0


def _packed(arrays: Sequence[np.ndarray]) -> str:
    """Arrays as text, exactly."""
    file = io.BytesIO()
    np.savez(file, *arrays)
    return base64.b64encode(file.getvalue()).decode()


def unpacked(text: str) -> list[np.ndarray]:
    """The arrays that were packed so."""
    return [*np.load(io.BytesIO(base64.b64decode(text))).values()]
