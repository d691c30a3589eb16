"""Runs an example script of diffusers where torchvision is not installed.

python benchmarks/stand_ins/run_example.py SCRIPT [ARGUMENTS ...]

Transformers, diffusers and datasets look for torchvision first, so that they go on to do without;
only the script's own `from torchvision import transforms` meets `transforms.py`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType

import datasets  # noqa: F401  # it and the next look for torchvision
import diffusers  # noqa: F401
from transformers.utils import is_torchvision_available


def main() -> None:
    script = sys.argv[1]
    if not is_torchvision_available():
        import transforms

        stand_in = ModuleType("torchvision")
        stand_in.transforms = transforms  # type: ignore[attr-defined]
        sys.modules |= {"torchvision": stand_in, "torchvision.transforms": transforms}
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
