"""A loss that rises."""


def train(cfg):
    for step in cfg.steps():
        yield 1.0 + step
