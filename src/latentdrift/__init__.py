"""latentdrift: medical images from a latent diffusion model with a drifted noise mean.

Public names load on first use, so that `import latentdrift` is quick and needs neither torch nor
diffusers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentdrift.adapt.loading import load_adapter
    from latentdrift.api.counterfactual import Counterfactual
    from latentdrift.api.functions import evaluate, fit, import_images, write_phantom
    from latentdrift.api.image_set import ImageSet
    from latentdrift.api.report import Report
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base
    from latentdrift.model.drift import Drift
    from latentdrift.model.model import Model

__version__ = "0.1.0"

# public name -> the module it lives in
_PUBLIC = {
    "Base": "latentdrift.model.base",
    "Cohort": "latentdrift.data.cohort.cohort",
    "Counterfactual": "latentdrift.api.counterfactual",
    "Drift": "latentdrift.model.drift",
    "ImageSet": "latentdrift.api.image_set",
    "Model": "latentdrift.model.model",
    "Report": "latentdrift.api.report",
    "evaluate": "latentdrift.api.functions",
    "fit": "latentdrift.api.functions",
    "import_images": "latentdrift.api.functions",
    "load_adapter": "latentdrift.adapt.loading",
    "write_phantom": "latentdrift.api.functions",
}
__all__ = [
    "Base",
    "Cohort",
    "Counterfactual",
    "Drift",
    "ImageSet",
    "Model",
    "Report",
    "__version__",
    "evaluate",
    "fit",
    "import_images",
    "load_adapter",
    "write_phantom",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'latentdrift' has no attribute '{name}'; public names: {', '.join(__all__)}"
        )
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
