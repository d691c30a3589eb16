"""`bench table2`: how an instruction is worded, and what InstructPix2Pix is trained from (Yeganeh
et al. 2025)."""

from __future__ import annotations

from dataclasses import replace

from latentdrift.study.benchmarks.benchmark_spec import FitRow, Table, Variant
from latentdrift.study.editors.editor_benchmark import BASELINES

DRIFT = FitRow("{delta}", "both")

FITS: dict[str, FitRow] = {
    "binned": replace(DRIFT, instruction="binned"),
    "binned+custom-diffusion": replace(DRIFT, instruction="binned", start="custom-diffusion"),
    "binned+full": replace(DRIFT, instruction="binned", start="full"),
    "word": replace(DRIFT, instruction="word"),
    "word+custom-diffusion": replace(DRIFT, instruction="word", start="custom-diffusion"),
    "word+full": replace(DRIFT, instruction="word", start="full"),
    "numerical": replace(DRIFT, instruction="numerical"),
    "numerical+custom-diffusion": replace(DRIFT, instruction="numerical", start="custom-diffusion"),
    "numerical+full": replace(DRIFT, instruction="numerical", start="full"),
}

# What an edit has to beat, as rows beside the edits.
UNEDITED: dict[str, Variant] = {
    name.replace(" ", "-"): Variant(summary, None) for name, summary in BASELINES.items()
}

VARIANTS: dict[str, Variant] = {
    "binned": Variant("the gap in a word, from the base", "binned", {}),
    "binned+custom-diffusion": Variant(
        "the gap in a word, from custom diffusion", "binned+custom-diffusion", {}
    ),
    "binned+full": Variant("the gap in a word, from a fine-tuned U-Net", "binned+full", {}),
    "word": Variant("the later age in words, from the base", "word", {}),
    "word+custom-diffusion": Variant(
        "the later age in words, from custom diffusion", "word+custom-diffusion", {}
    ),
    "word+full": Variant("the later age in words, from a fine-tuned U-Net", "word+full", {}),
    "numerical": Variant("the later age as a number, from the base", "numerical", {}),
    "numerical+custom-diffusion": Variant(
        "the later age as a number, from custom diffusion", "numerical+custom-diffusion", {}
    ),
    "numerical+full": Variant(
        "the later age as a number, from a fine-tuned U-Net", "numerical+full", {}
    ),
    **UNEDITED,
}

# Metrics of edits with a known answer -> their titles.
METRIC_TITLES: dict[str, str] = {
    "ssim": "SSIM",
    "lpips-unweighted": "perceptual distance",
    "psnr": "PSNR (dB)",
    "difference_ssim": "SSIM of the differences",
    "effect": "share of the true change",
}

# (Yeganeh et al. 2025, table 2), all with drift
PAPER_COLUMNS = ("FID", "SSIM", "LPIPS", "PSNR")
PAPER: dict[tuple[str | None, str], tuple[float | None, ...]] = {
    ("instruct-pix2pix", "binned"): (17.05, 0.74, 0.13, 32.78),
    ("instruct-pix2pix", "binned+custom-diffusion"): (24.75, 0.43, 0.19, 31.86),
    ("instruct-pix2pix", "binned+full"): (15.39, 0.74, 0.13, 32.77),
    ("instruct-pix2pix", "word"): (15.84, 0.74, 0.13, 32.79),
    ("instruct-pix2pix", "word+custom-diffusion"): (27.41, 0.27, 0.19, 30.49),
    ("instruct-pix2pix", "word+full"): (15.25, 0.75, 0.13, 32.78),
    ("instruct-pix2pix", "numerical"): (16.27, 0.75, 0.13, 32.79),
    ("instruct-pix2pix", "numerical+custom-diffusion"): (24.05, 0.32, 0.23, 30.70),
    ("instruct-pix2pix", "numerical+full"): (15.37, 0.76, 0.12, 32.83),
}

TABLE2 = Table(
    title="Ageing by instructions (after table 2 of the paper)",
    fits=FITS,
    variants=VARIANTS,
    follows="test",
    metric_titles=METRIC_TITLES,
    editor="instruct-pix2pix",
    before=DRIFT,
    paper=PAPER,
    paper_columns=PAPER_COLUMNS,
    note=(
        "It has no row without an edit, against which its SSIM and PSNR could be read, and none "
        "without drift."
    ),
)
