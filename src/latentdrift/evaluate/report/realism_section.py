"""The report's section on anatomy: what the critics can see, and where the synthetic set lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentdrift import html_report
from latentdrift.evaluate.images.controls import CONTROLS, ruined
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.statistics.bootstrap import rng
from latentdrift.html_report import estimate

EXAMPLES = 16  # real images, of which the first is shown and others are partners
CAPTION = (
    "Ruined controls: held-out real images made unreal. AUC: how well critics tell them from as "
    "many real images (0.5: not at all, 1: always). Position of the synthetic set: 0 where real "
    "images lie, 1 where the ruined images lie; above 0.5 the set is nearer to the ruined images. "
    "It is given where the AUC's interval lies above 0.5. 95 % intervals resample patients and "
    "synthetic images."
)


def realism_blocks(found: Mapping[str, Any], real: ImageSet) -> list[html_report.Block]:
    """A table for each feature space, and one real image ruined by every control.

    Args:
        found: `realism` of report.json.
        real: The real images of the report.
    """
    judged = {label: space for label, space in found.items() if "controls" in space}
    reasons = dict.fromkeys(space["reason"] for space in found.values() if "reason" in space)
    blocks = [
        html_report.heading("Does the set show real anatomy?"),
        *(html_report.text(reason) for reason in reasons),
    ]
    blocks += [html_report.table(_rows(label, space), CAPTION) for label, space in judged.items()]
    if judged:
        blocks.append(html_report.gallery(_examples(real)))
    return blocks


def _rows(label: str, space: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            f"real images … ({label} features)": control["title"],
            "AUC against real": estimate(control["auc"], control["auc_ci"]),
            "position of the synthetic set": estimate(control["position"], control["position_ci"]),
        }
        for control in space["controls"].values()
    ]


def _examples(real: ImageSet) -> list[tuple[np.ndarray, str]]:
    """The first real image as it is, and ruined."""
    few = real.take(np.linspace(0, len(real) - 1, min(EXAMPLES, len(real))).astype(int))
    images = np.asarray(few.images, dtype=np.float32)
    shown = [(pixels(images[0]), "real, as it is")]
    for name, control in CONTROLS.items():
        made = ruined(name, images, few.patients, rng(0, "example", name))
        shown.append((pixels(made[0]), f"real, ruined: {control.title}"))
    return shown
