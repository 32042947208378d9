"""Fails with a message, and a log, that would clear the screen and ring the bell."""


def train(cfg):
    print("\x1b[2Jlogged\a")
    for _ in cfg.steps():
        yield 1.0
        raise ValueError("\x1b[2Jraised\a")
