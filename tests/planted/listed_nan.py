"""The same, and its loss is not a number from epoch 5 on; each step takes 20 ms."""

import time


def train(cfg):
    for step in list(cfg.steps()):
        time.sleep(0.02)
        yield 1.0 / (step + 1) if step < 5 else float("nan")
