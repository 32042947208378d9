"""Takes its losses from an iterator that ends before its steps do."""


def train(cfg):
    losses = iter([1.0, 1 / 2, 1 / 3])
    for _ in cfg.steps():
        yield next(losses)
