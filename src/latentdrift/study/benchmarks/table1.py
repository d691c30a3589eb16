"""`bench table1`: every method without and with drift, and what a classifier learns from its
pictures (Yeganeh et al. 2025)."""

from __future__ import annotations

from latentdrift.study.benchmarks.benchmark_spec import FitRow, Table, Variant

FITS: dict[str, FitRow] = {
    "plain": FitRow("calibrated"),  # of the start alone: training is as without
    "drift": FitRow("{delta}", "both"),
}

VARIANTS: dict[str, Variant] = {
    "none": Variant("no drift", "plain"),
    "drift": Variant("drift in training and sampling", "drift", {}),
    "calibrated": Variant("no drift in training, and the start that the fit asks for", "plain", {}),
    "real+synthetic": Variant(
        "real and drifted synthetic images, half of each, together as many as there are real ones",
        "drift",
        {},
        real=0.5,
    ),
    "base": Variant("the base without fine-tuning", None),
    "real": Variant("real training images", None, real=1.0),
}

# (Yeganeh et al. 2025, table 1); of which method the synthetic half of the last row is, the paper
# does not say
PAPER_COLUMNS = (
    "brain FID",
    "brain KID",
    "brain AUC",
    "CheXpert FID",
    "CheXpert KID",
    "CheXpert AUC",
)
PAPER: dict[tuple[str | None, str], tuple[float | None, ...]] = {
    ("custom-diffusion", "none"): (129.21, 0.132, 0.609, 323, 0.275, 0.573),
    ("custom-diffusion", "drift"): (63.58, 0.065, 0.544, 315, 0.270, 0.593),
    ("dreambooth", "none"): (130.92, 0.125, 0.500, 188, 0.175, 0.567),
    ("dreambooth", "drift"): (92.37, 0.099, 0.512, 177, 0.145, 0.582),
    ("textual-inversion", "none"): (120.63, 0.098, 0.600, 171.77, 0.135, 0.600),
    ("textual-inversion", "drift"): (67.56, 0.065, 0.670, 133.18, 0.085, 0.640),
    ("full", "none"): (92.13, 0.071, 0.704, 112, 0.097, 0.672),
    ("full", "drift"): (49.68, 0.035, 0.724, 84, 0.077, 0.746),
    (None, "base"): (313.61, 0.289, 0.414, 331, 0.286, 0.426),
    (None, "real"): (None, None, 0.870, None, None, 0.880),
    (None, "real+synthetic"): (None, None, 0.883, None, None, 0.892),
}

TABLE1 = Table(
    title="Methods without and with drift (after table 1 of the paper)",
    fits=FITS,
    variants=VARIANTS,
    follows="train",
    paper=PAPER,
    paper_columns=PAPER_COLUMNS,
    note=(
        "The paper has one row of real and synthetic images and does not say of which method; its "
        "numbers stand beside every method's. It has no LoRA."
    ),
)
