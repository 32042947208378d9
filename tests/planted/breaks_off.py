"""Breaks off after ten steps."""


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1)
        if step == 9:
            break
