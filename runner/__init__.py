"""twolayer: one training problem, many implementations, compared with evidence.

The folder is called ``runner/`` in the repository and imported as ``twolayer``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config.settings import Config as Config

__version__ = "0.1.0"
__all__ = ["Config", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Config":  # on demand: `import twolayer` is part of every start
        from .config.settings import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
