"""Reads memory that is not there."""

import ctypes


def train(cfg):
    print("about to read address 0")
    for _ in cfg.steps():
        yield 1.0
        ctypes.string_at(0)
