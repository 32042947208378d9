"""twolayer: one training problem, many implementations, compared with evidence.

The folder is called ``runner/`` in the repository and imported as ``twolayer``.
"""

from .settings import Config

__version__ = "0.1.0"
__all__ = ["Config", "__version__"]
