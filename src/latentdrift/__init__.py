"""latentdrift: medical images from a latent diffusion model with a drifted noise mean.

Public names load on first use, so that `import latentdrift` is quick and needs neither torch nor
diffusers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentdrift.adapt.loading import load_adapter
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base
    from latentdrift.model.drift import Drift
    from latentdrift.model.model import Model

__version__ = "0.1.0"

# public name -> the module it lives in
_PUBLIC = {
    "Base": "latentdrift.model.base",
    "Cohort": "latentdrift.data.cohort.cohort",
    "Drift": "latentdrift.model.drift",
    "Model": "latentdrift.model.model",
    "load_adapter": "latentdrift.adapt.loading",
}
__all__ = ["Base", "Cohort", "Drift", "Model", "__version__", "load_adapter"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'latentdrift' has no attribute '{name}'; public names: {', '.join(__all__)}"
        )
    return getattr(import_module(_PUBLIC[name]), name)
