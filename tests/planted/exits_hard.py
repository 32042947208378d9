"""Leaves without a word to anyone, by os._exit."""

import os


def train(cfg):
    for _ in cfg.steps():
        yield 1.0
        os._exit(3)
