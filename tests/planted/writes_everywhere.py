"""Writes lines that are JSON, but no message, to every file that it finds open."""

import contextlib
import os


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1)
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(fd, b'\n[1]\n{"event": 3}\n')
