"""Prints 20 MB, in numbered lines."""


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1)
    for line in range(200_000):
        print(f"line {line:6} {'.' * 88}")
