"""`bench table3`: how prompts are worded, and whether they say age, sex and findings (Yeganeh et
al. 2025)."""

from __future__ import annotations

from dataclasses import replace

from latentdrift.study.benchmarks.benchmark_spec import FitRow, Table, Variant

DRIFT = FitRow("{delta}", "both")

FITS: dict[str, FitRow] = {
    "simple": replace(DRIFT, prompt_style="simple", patient_info=False),
    "simple+info": replace(DRIFT, prompt_style="simple", patient_info=True),
    "diverse": replace(DRIFT, prompt_style="diverse", patient_info=False),
    "diverse+info": replace(DRIFT, prompt_style="diverse", patient_info=True),
}

VARIANTS: dict[str, Variant] = {
    "simple": Variant("one wording, nothing about the patient", "simple", {}),
    "simple+info": Variant("one wording, with the patient's information", "simple+info", {}),
    "diverse": Variant("many wordings, nothing about the patient", "diverse", {}),
    "diverse+info": Variant("many wordings, with the patient's information", "diverse+info", {}),
}

# (Yeganeh et al. 2025, table 3), basic fine-tuning with drift
PAPER_COLUMNS = ("brain FID", "brain KID")
PAPER: dict[tuple[str | None, str], tuple[float | None, ...]] = {
    ("full", "simple"): (60.41, 0.0475),
    ("full", "simple+info"): (56.49, 0.0368),
    ("full", "diverse"): (57.99, 0.0444),
    ("full", "diverse+info"): (51.35, 0.0351),
}

TABLE3 = Table(
    title="Prompts, simple and diverse (after table 3 of the paper)",
    fits=FITS,
    variants=VARIANTS,
    follows="train",
    paper=PAPER,
    paper_columns=PAPER_COLUMNS,
)
