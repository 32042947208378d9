"""Never comes back from its fourth step, in C and holding the interpreter's lock."""

import ctypes
from pathlib import Path


def train(cfg):
    for step in cfg.steps():
        if step == 3:
            Path("started").touch()
            ctypes.PyDLL(None).sleep(1000)
        yield 1.0 / (step + 1)
