"""Keeps 16 MB more with every step; gives up at 2 GB, if nobody stops it."""


def train(cfg):
    kept = []
    for step in cfg.steps():
        if step == 128:
            raise RuntimeError("nobody stopped me")
        kept.append(bytearray(1 << 24))
        yield 1.0 / (step + 1)
