"""Leaves by sys.exit."""

import sys


def train(cfg):
    for _ in cfg.steps():
        yield 1.0
        sys.exit("planted exit")
