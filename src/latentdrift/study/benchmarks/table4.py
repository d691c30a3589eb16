"""`bench table4`: the prompts of table 3 when Pix2Pix-Zero edits (Yeganeh et al. 2025)."""

from __future__ import annotations

from latentdrift.study.benchmarks import table2, table3
from latentdrift.study.benchmarks.benchmark_spec import Table

# (Yeganeh et al. 2025, table 4), with drift; it has no row of simple prompts with the patient's
# information
PAPER: dict[tuple[str | None, str], tuple[float | None, ...]] = {
    ("full", "simple"): (46.79, 0.0282),
    ("full", "diverse"): (41.70, 0.0216),
    ("full", "diverse+info"): (36.10, 0.0151),
}

TABLE4 = Table(
    title="Prompts, simple and diverse, when Pix2Pix-Zero edits (after table 4 of the paper)",
    fits=table3.FITS,
    variants={**table3.VARIANTS, **table2.UNEDITED},
    follows="test",
    metric_titles=table2.METRIC_TITLES,
    editor="pix2pix-zero",
    paper=PAPER,
    paper_columns=table3.PAPER_COLUMNS,
    note=(
        "The paper changes the diagnosis of each test image into another, of which no truth is "
        "known; here first visits become last ones. An edit says what changes even where the "
        "prompts of training were silent."
    ),
)
