"""Takes a quarter of an hour to import, and says in a file that it has begun."""

import time
from pathlib import Path

Path("started").touch()
time.sleep(900)


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1)
