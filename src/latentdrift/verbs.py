"""VERBS: one row per verb. The command line, the verbs of `service` and the dry runs read it.

Rows name their functions by text, so that a reader of the table loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from latentdrift import config
from latentdrift.errors import unknown


@dataclass(frozen=True)
class Verb:
    """A row of VERBS."""

    options: type[config.Options]
    """The option model. Its docstring is the description of the verb."""
    positional: tuple[str, ...]
    """Options that stand without a flag, in their order."""
    summary: str
    """Purpose, in one line."""
    topic: str
    """Heading of the verb in the overview of all verbs."""
    example: str
    """A command that a user can type."""
    function: str
    """`module:function` that does the work."""
    plan: str = "latentdrift.cli.dry_run:echo"
    """`module:function` of the dry run."""


DATA = "images in"
MODEL = "adapt a model"
DRAW = "draw and edit"
JUDGE = "judge"
WHOLE = "whole jobs"

VERBS: dict[str, Verb] = {
    "import": Verb(
        config.ImportOptions,
        ("source",),
        "Read scans and a table into a cohort: de-identified, split by patient.",
        DATA,
        "latentdrift import scans --table patients.csv --out cohort",
        "latentdrift.service:import_",
        "latentdrift.cli.dry_run:import_",
    ),
    "inspect": Verb(
        config.InspectOptions,
        ("cohort",),
        "Count images, ages, visits and leaks of a cohort before training.",
        DATA,
        "latentdrift inspect cohort",
        "latentdrift.service:inspect",
        "latentdrift.cli.dry_run:inspect",
    ),
    "phantom": Verb(
        config.PhantomOptions,
        (),
        "Write phantom scans with a table, whose true counterfactuals are known.",
        DATA,
        "latentdrift phantom --kind brain --patients 60 --out scans",
        "latentdrift.service:phantom",
        "latentdrift.cli.dry_run:phantom",
    ),
    "fit": Verb(
        config.FitOptions,
        ("cohort",),
        "Adapt a base model to a cohort.",
        MODEL,
        "latentdrift fit cohort --out run",
        "latentdrift.service:fit",
        "latentdrift.cli.dry_run:fit",
    ),
    "drift estimate": Verb(
        config.DriftEstimateOptions,
        ("cohort",),
        "Estimate the drift of a model for a cohort in closed form.",
        MODEL,
        "latentdrift drift estimate cohort --base pocket --out estimate",
        "latentdrift.service:drift_estimate",
        "latentdrift.cli.dry_run:drift_estimate",
    ),
    "drift search": Verb(
        config.DriftSearchOptions,
        ("cohort",),
        "Compare the images of several drifts with the validation split.",
        MODEL,
        "latentdrift drift search cohort --adapter run --out search",
        "latentdrift.service:drift_search",
        "latentdrift.cli.dry_run:drift_search",
    ),
    "export": Verb(
        config.ExportOptions,
        ("adapter",),
        "Write an adapter as the files that other tools load.",
        MODEL,
        "latentdrift export run --to kohya --out for-a-web-ui",
        "latentdrift.service:export",
    ),
    "adopt": Verb(
        config.AdoptOptions,
        ("file",),
        "Read an adapter of another tool.",
        MODEL,
        "latentdrift adopt lora.safetensors --base ./sd15 --out adopted",
        "latentdrift.service:adopt",
    ),
    "generate": Verb(
        config.GenerateOptions,
        ("adapter",),
        "Draw synthetic images from prompts or from the table of a cohort.",
        DRAW,
        "latentdrift generate run --like cohort --split test --n 100 --out synthetic",
        "latentdrift.service:generate",
        "latentdrift.cli.dry_run:generate",
    ),
    "edit": Verb(
        config.EditOptions,
        ("adapter", "source"),
        "Make counterfactuals: change one thing about a patient's image.",
        DRAW,
        "latentdrift edit run scan.nii.gz --given age=70 --set age=85 --out older",
        "latentdrift.service:edit",
        "latentdrift.cli.dry_run:edit",
    ),
    "evaluate": Verb(
        config.EvaluateOptions,
        (),
        "Compare synthetic images with real ones: fidelity, coverage, copies.",
        JUDGE,
        "latentdrift evaluate --real cohort --synthetic synthetic --out report",
        "latentdrift.service:evaluate",
        "latentdrift.cli.dry_run:evaluate",
    ),
    "reader make": Verb(
        config.ReaderMakeOptions,
        (),
        "Make a blinded reader study of real and synthetic images.",
        JUDGE,
        "latentdrift reader make --real cohort --synthetic synthetic --out study",
        "latentdrift.service:reader_make",
        "latentdrift.cli.dry_run:reader_make",
    ),
    "reader score": Verb(
        config.ReaderScoreOptions,
        (),
        "Score the answers of a reader study.",
        JUDGE,
        "latentdrift reader score --answers first.csv second.csv --key study-key.json "
        "--out score.json",
        "latentdrift.service:reader_score",
        "latentdrift.cli.dry_run:reader_score",
    ),
    "audit": Verb(
        config.AuditOptions,
        ("adapter",),
        "Test whether the loss of an adapter reveals its training patients.",
        JUDGE,
        "latentdrift audit run --cohort cohort --out audit",
        "latentdrift.service:audit",
        "latentdrift.cli.dry_run:audit",
    ),
    "bench drift": Verb(
        config.BenchDriftOptions,
        ("cohort",),
        "Compare drift in every mode with other ways to correct the noise mean.",
        JUDGE,
        "latentdrift bench drift cohort --methods lora --out bench --dry-run",
        "latentdrift.service:bench",
        "latentdrift.cli.dry_run:bench",
    ),
    "bench table1": Verb(
        config.BenchTable1Options,
        ("cohort",),
        "Table 1 of the paper: methods without and with drift.",
        JUDGE,
        "latentdrift bench table1 cohort --by diagnosis --out table1",
        "latentdrift.service:bench",
        "latentdrift.cli.dry_run:bench",
    ),
    "bench table2": Verb(
        config.BenchTable2Options,
        ("cohort",),
        "Table 2 of the paper: InstructPix2Pix ages first visits.",
        JUDGE,
        "latentdrift bench table2 cohort --out table2",
        "latentdrift.service:bench",
        "latentdrift.cli.dry_run:bench",
    ),
    "bench table3": Verb(
        config.BenchTable3Options,
        ("cohort",),
        "Table 3 of the paper: wordings of the prompt.",
        JUDGE,
        "latentdrift bench table3 cohort --methods full --out table3",
        "latentdrift.service:bench",
        "latentdrift.cli.dry_run:bench",
    ),
    "bench table4": Verb(
        config.BenchTable4Options,
        ("cohort",),
        "Table 4 of the paper: Pix2Pix-Zero edits first visits.",
        JUDGE,
        "latentdrift bench table4 cohort --out table4",
        "latentdrift.service:bench",
        "latentdrift.cli.dry_run:bench",
    ),
    "bench editors": Verb(
        config.BenchEditorsOptions,
        ("adapter",),
        "Compare editors on edits whose true result is known.",
        JUDGE,
        "latentdrift bench editors run --phantom brain --out editors",
        "latentdrift.service:bench_editors",
        "latentdrift.cli.dry_run:bench_editors",
    ),
    "replay": Verb(
        config.ReplayOptions,
        ("record",),
        "Run a record again and compare the outputs.",
        WHOLE,
        "latentdrift replay synthetic --out again",
        "latentdrift.service:replay",
        "latentdrift.cli.dry_run:replay",
    ),
    "demo": Verb(
        config.DemoOptions,
        (),
        "Run the whole job on the embedded base and a phantom cohort.",
        WHOLE,
        "latentdrift demo --out demo",
        "latentdrift.service:demo",
        "latentdrift.cli.dry_run:demo",
    ),
}

GROUPS: dict[str, str] = {
    "drift": "Estimate or search the drift of a model for a cohort.",
    "reader": "Make a blinded reader study, and score its answers.",
    "bench": "Compare methods, drifts and editors on a cohort, with confidence intervals.",
}
"""First word of verbs of two words -> what its verbs do."""


def find(verb: str) -> Verb:
    """Look up a row of VERBS.

    Raises:
        OptionError: There is no such verb.
    """
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    return VERBS[verb]


def name_of(options: config.Options) -> str:
    """Name of the verb that takes these options."""
    return next(name for name, row in VERBS.items() if row.options is type(options))


def load(reference: str) -> Callable[..., Any]:
    """Import the function that a reference names.

    Rows of VERBS name their functions so, and methods of `Model` the functions of higher folders.

    Args:
        reference: `module:function`.
    """
    module, _, function = reference.partition(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
