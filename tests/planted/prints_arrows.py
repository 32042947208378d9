"""A good one: prints what its locale lacks, and goes on printing to a file that is closed."""

import os


def train(cfg):
    for step in cfg.steps():
        print(f"loss \N{DOWNWARDS ARROW} at {step}")
        if step == 2:
            os.close(1)
        yield 1.0 / (step + 1)
