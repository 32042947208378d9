"""A loss that stays where it is."""


def train(cfg):
    for _ in cfg.steps():
        yield float("1")  # a new float each time
