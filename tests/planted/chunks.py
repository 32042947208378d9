"""A good one: pulls up to four steps at a time and yields their losses as one array."""

from itertools import islice

import numpy as np


def train(cfg):
    steps = iter(cfg.steps())
    while chunk := list(islice(steps, 4)):
        yield 1.0 / (np.array(chunk) + 1)
