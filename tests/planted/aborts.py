"""Aborts, as a C++ library does on an uncaught exception."""

import os


def train(cfg):
    for _ in cfg.steps():
        yield 1.0
        os.abort()
