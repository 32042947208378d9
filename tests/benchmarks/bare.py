"""The same cells without the runner: one process, frameworks imported once, loops as written.

Prints the training time of each in seconds, from its first step to its weights on the host.
"""

import importlib
import sys
import time

from twolayer import Config
from twolayer.config.experiment import find_config, load


class Bare(Config):
    """Settings whose steps note when they begin, and nothing else."""

    def steps(self):
        self.__dict__["begun"] = time.perf_counter()
        return range(self.epochs)


def main(names: list[str], epochs: int | None) -> None:
    experiment = load(find_config("notebook"))
    for name in names or [str(impl.value) for impl in experiment.impls]:
        module = importlib.import_module(f"twolayer.impls.{name}")
        settings = {key: assigned.value for key, assigned in experiment.settings(name).items()}
        settings |= {"device": "cpu"} | ({"epochs": epochs} if epochs else {})
        cfg = Bare(**settings)
        losses = [loss if getattr(loss, "ndim", 0) else float(loss) for loss in module.train(cfg)]
        print(name, time.perf_counter() - cfg.begun, losses[-1])


if __name__ == "__main__":
    main(sys.argv[2:], int(sys.argv[1]))
