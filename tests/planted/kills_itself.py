"""Is killed as the system kills what takes too much memory."""

import os
import signal


def train(cfg):
    for _ in cfg.steps():
        yield 1.0
        os.kill(os.getpid(), signal.SIGKILL)
