"""Takes 5 ms a step, and says in a file when it has done three."""

import time
from pathlib import Path


def train(cfg):
    for step in cfg.steps():
        if step == 3:
            Path("started").touch()
        time.sleep(0.005)
        yield 1.0 / (step + 1)
