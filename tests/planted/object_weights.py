"""Returns arrays of objects."""


def train(cfg):
    _, _, *weights = cfg.problem()
    for step in cfg.steps():
        yield 1.0 / (step + 1)
    return [weight.astype(object) for weight in weights]
