"""Returns a list of losses."""


def train(cfg):
    return [1.0 / (step + 1) for step in range(cfg.epochs)]
