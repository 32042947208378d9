"""The job of `verify`: the trainings that a verdict needs, in the process forked for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..config import frameworks
from ..config.rules import Value
from ..config.settings import Config
from ..training.contract import Train
from ..training.loading import load_module
from ..training.loop import Training
from ..training.tasks import borrowed
from ..training.worker import Leash, Send
from .evidence import pack, silence_unit


def trainings(job: dict[str, Any], imports: dict[str, float], leash: Leash, send: Send) -> Any:
    """Train once for each of the requests of `verify.Case.requests`; returns what came of it.

    The time that the job may take is counted anew from the start of each training.
    """
    train = load_module(job).train
    frameworks.set_tf32(job["framework"], allowed=job["tf32"])
    device = frameworks.resolve_device(job["device"], job["framework"])
    fixed = {"device": device, "threads": job["threads"]}
    results = []
    for request in job["requests"]:
        send({"event": "anew"})
        results += train_each(train, [request], fixed)
    return {"outcome": "ok", "error": None, "results": results, "borrowed": borrowed(job)}


def train_each(
    train: Train, requests: Sequence[dict[str, Any]], fixed: dict[str, Value]
) -> list[dict[str, Any]]:
    """Train once a request, with the settings in `fixed` in place of the request's."""
    results = []
    for request in requests:
        cfg = Config(**request["config"] | fixed)
        silenced = partial(silence_unit, bias=cfg.bias) if request.get("zero_unit") else None
        training = Training(cfg, problem=silenced)
        result = training.run(train)
        weights = pack([] if training.error else training.weights)
        own = {"weights": weights, "own_problem": not training.shapes}
        results.append(result | own)
    return results
