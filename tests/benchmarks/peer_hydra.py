"""The runs of the sweep benchmark under Hydra's joblib launcher: the same loops, not isolated.

Needs `pip install hydra-core hydra-joblib-launcher`, which are no dependency of twolayer.
"""

from __future__ import annotations

import importlib
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from twolayer import Config

SETTINGS = {"N": 5, "H": 4, "D_in": 6, "D_out": 3, "epochs": 5, "seed": 0, "name": "autograd"}
ConfigStore.instance().store(name="bench", node=SETTINGS)


@hydra.main(version_base=None, config_name="bench")
def main(given: Any) -> float:
    """Train once; returns the final loss."""
    settings = dict(given)
    module = importlib.import_module(f"twolayer.impls.{settings.pop('name')}")
    return float(list(module.train(Config(**settings)))[-1])


if __name__ == "__main__":
    main()
