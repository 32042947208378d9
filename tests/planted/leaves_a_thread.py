"""A good one: the thread that it starts never ends."""

import threading


def train(cfg):
    threading.Thread(target=threading.Event().wait).start()
    for step in cfg.steps():
        yield 1.0 / (step + 1)
