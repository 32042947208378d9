"""Returns after it has pulled a step that it does not do."""


def train(cfg):
    _, _, *weights = cfg.problem()
    for step in cfg.steps():
        if step == 6:
            return weights
        yield 1.0 / (step + 1)
    return weights
