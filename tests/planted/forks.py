"""Leaves a child behind that would live on for a quarter of an hour."""

import os
import time


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1)
    if os.fork() == 0:
        time.sleep(900)
        os._exit(0)
