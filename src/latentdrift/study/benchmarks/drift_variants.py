"""`bench drift`: drift in all its modes and its rivals, as rows."""

from __future__ import annotations

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.study.benchmarks.benchmark_spec import FitRow, Table, Variant

FITS: dict[str, FitRow] = {
    "plain": FitRow("calibrated"),  # of the start alone: training is as without
    "drift": FitRow("{delta}", "both"),
    "drift-auto": FitRow("auto", "both"),
    "offset": FitRow("calibrated", noise=("offset=0.1",)),
    "pyramid": FitRow("none", noise=("pyramid",)),
    "input-perturbation": FitRow("none", noise=("input-perturbation=0.1",)),
    "zero-snr": FitRow("none", zero_snr=True, prediction="v_prediction"),
}

VARIANTS: dict[str, Variant] = {
    "none": Variant("no drift", "plain"),
    "infer": Variant(
        "the scalar delta when sampling only", "plain", {"drift": "{delta}", "drift_mode": "infer"}
    ),
    "calibrated": Variant("the start that the fit asks for", "plain", {}),
    "closed-form": Variant(
        "closed form per channel when sampling", "plain", {"drift": "auto", "drift_mode": "infer"}
    ),
    "pin": Variant(
        "channel means set to the closed form", "plain", {"drift": "auto", "drift_mode": "pin"}
    ),
    "pin-sample": Variant(
        "channel means drawn as the cohort's are",
        "plain",
        {"drift": "auto", "drift_mode": "pin-sample"},
    ),
    "pin-zero": Variant(
        "channel means set to zero", "plain", {"drift": "none", "drift_mode": "pin"}
    ),
    "search": Variant(
        "scalar delta of an L1 search when sampling",
        "plain",
        {"drift": "{searched}", "drift_mode": "infer"},
    ),
    "leak-pixel": Variant(
        "signal leak, per latent pixel", "plain", {"drift": "auto", "drift_mode": "leak-pixel"}
    ),
    "leak-low": Variant(
        "signal leak, low frequencies", "plain", {"drift": "auto", "drift_mode": "leak-low"}
    ),
    "per-step-scaled": Variant(
        "ablation: delta / steps after every step",
        "plain",
        {"drift": "{delta}", "drift_mode": "infer", "drift_form": "per_step_scaled"},
    ),
    "both": Variant(
        "the scalar delta in training and sampling",
        "drift",
        {"drift": "{delta}", "drift_mode": "infer"},
    ),
    "train": Variant("the scalar delta in training only", "drift"),
    "both-closed-form": Variant("closed form in training and sampling", "drift-auto", {}),
    "offset": Variant("offset noise 0.1", "offset"),
    "offset+calibrated": Variant("offset noise 0.1, the start that the fit asks for", "offset", {}),
    "offset+pin": Variant(
        "offset noise 0.1, means set to the closed form",
        "offset",
        {"drift": "auto", "drift_mode": "pin"},
    ),
    "pyramid": Variant("pyramid noise", "pyramid"),
    "input-perturbation": Variant("input perturbation 0.1", "input-perturbation"),
    "zero-snr": Variant("zero terminal SNR, retrained to v", "zero-snr"),
}


def possible(method: str, variant: str) -> bool:
    """Whether a method can do a variant: zero terminal SNR needs a method that trains the
    network."""
    return METHODS[method].trains_network or VARIANTS[variant].fit != "zero-snr"


DRIFT = Table(
    title="Drift and its rivals",
    fits=FITS,
    variants=VARIANTS,
    follows="test",
    metric_titles={
        "background": "background, 0-255",
        "mean_error": "mean error, 0-255",
        "spread": "spread of brightness",
        "latent_dc_error": "error of latent DC",
    },
    possible=possible,
    answers=True,
)
