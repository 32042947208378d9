"""Never comes back from its fourth step, in Python. Says in a file that it has got there."""

from pathlib import Path


def train(cfg):
    print("three steps, then for ever")
    for step in cfg.steps():
        if step == 3:
            Path("started").touch()
            while True:
                pass
        yield 1.0 / (step + 1)
