"""Where the losses that the notebook printed lie among ours, over many seeds.

`python tests/notebook.py 100` prints the table of docs/notebook.md, from 100 seeds.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
from twolayer.config.catalogue import LESSON as LESSON
from twolayer.config.experiment import Experiment, find_config, load
from twolayer.config.published import read_published
from twolayer.config.settings import Config
from twolayer.tables import Table, number

CELLS = read_published(Path(__file__).parent.parent / "configs" / "notebook_losses.csv")


def preset(experiment: Experiment, name: str) -> Config:
    """The settings of a cell of the notebook, on the CPU."""
    values = {key: assigned.value for key, assigned in experiment.settings(name).items()}
    return Config(**values | {"device": "cpu"})


def our_losses(name: str, seeds: int) -> np.ndarray:
    """(seeds, epochs) The losses of an implementation at the epochs that the notebook printed."""
    cfg = preset(load(find_config("notebook")), name)
    train = importlib.import_module(f"twolayer.impls.{name}").train
    epochs = list(CELLS[name])
    runs = (list(train(cfg.with_(seed=seed))) for seed in range(seeds))
    return np.array([[float(losses[epoch]) for epoch in epochs] for losses in runs])


def table(name: str, ours: np.ndarray) -> Table:
    """The printed losses of one cell, and the share of ours that lie below each."""
    header = ("epoch", "notebook", "our lowest", "our median", "our highest", "share below")
    rows = []
    for (epoch, printed), column in zip(CELLS[name].items(), ours.T, strict=True):
        spread = (column.min(), np.median(column), column.max())
        share = f"{np.mean(column < printed):.0%}"
        rows.append([str(epoch), *map(number, (printed, *spread)), share])
    return Table(header, rows)


if __name__ == "__main__":
    for cell in CELLS:
        print(f"\n### {cell}\n\n{table(cell, our_losses(cell, int(sys.argv[1]))).markdown()}")
