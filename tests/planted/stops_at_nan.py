"""Looks at its own loss, and breaks off where it is not a number."""


def train(cfg):
    for step in cfg.steps():
        loss = 1.0 / (step + 1) if step < 5 else float("nan")
        yield loss
        if loss != loss:
            break
