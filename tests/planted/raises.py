"""Raises in the middle of training."""


def train(cfg):
    print("three steps, then the end")
    for step in cfg.steps():
        if step == 3:
            raise ValueError("the planted mistake")
        yield 1.0 / (step + 1)
