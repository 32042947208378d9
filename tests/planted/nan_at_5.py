"""Its loss is not a number from epoch 5 on."""


def train(cfg):
    for step in cfg.steps():
        yield 1.0 / (step + 1) if step < 5 else float("nan")
