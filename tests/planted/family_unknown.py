"""Names a reference that there is not."""

REFERENCE = "rmsprop"


def train(cfg):
    *_, w1, w2 = cfg.problem()
    for _ in cfg.steps():
        yield 1.0
    return w1, w2
