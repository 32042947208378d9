"""Notes the process that it was forked from, and waits until H of them are noted."""

import os
import time
from pathlib import Path

import numpy as np


def train(cfg):
    for step in cfg.steps():
        Path(f"at-{os.getppid()}").touch()
        while len(list(Path().glob("at-*"))) < cfg.H:
            time.sleep(0.02)
        yield np.reciprocal(step + 1.0)
