"""Starts a child that never ends, and never ends itself; both deaf to polite signals."""

import os
import signal
from pathlib import Path


def train(cfg):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for step in cfg.steps():
        yield 1.0 / (step + 1)
        os.fork()
        Path("started").touch()
        while True:
            signal.pause()
