"""One frozen model per verb: the only place where a default lives.

The command line, the YAML form (`latentdrift VERB --config`), the docs table and the record of a
run are all derived from these classes.
"""

from latentdrift.config.base import Options, WorkerOptions, seconds_of
from latentdrift.config.benchmark import (
    BenchDrawnOptions,
    BenchDriftOptions,
    BenchEditorsOptions,
    BenchOptions,
    BenchTable1Options,
    BenchTable2Options,
    BenchTable3Options,
    BenchTable4Options,
)
from latentdrift.config.build import build
from latentdrift.config.data import ImportOptions, InspectOptions, PhantomOptions
from latentdrift.config.demo import DemoOptions, ReplayOptions
from latentdrift.config.drift import DriftEstimateOptions, DriftOptions, DriftSearchOptions
from latentdrift.config.evaluate import (
    AuditOptions,
    EvaluateOptions,
    ReaderMakeOptions,
    ReaderScoreOptions,
)
from latentdrift.config.fit import PRESETS, AdoptOptions, ExportOptions, FitOptions
from latentdrift.config.generate import EditOptions, GenerateOptions
from latentdrift.config.names import NAMES, check_names
from latentdrift.config.parts import BY_METHOD, PARTS, check_parts, implies_lora

__all__ = [
    "BY_METHOD",
    "NAMES",
    "PARTS",
    "PRESETS",
    "AdoptOptions",
    "AuditOptions",
    "BenchDrawnOptions",
    "BenchDriftOptions",
    "BenchEditorsOptions",
    "BenchOptions",
    "BenchTable1Options",
    "BenchTable2Options",
    "BenchTable3Options",
    "BenchTable4Options",
    "DemoOptions",
    "DriftEstimateOptions",
    "DriftOptions",
    "DriftSearchOptions",
    "EditOptions",
    "EvaluateOptions",
    "ExportOptions",
    "FitOptions",
    "GenerateOptions",
    "ImportOptions",
    "InspectOptions",
    "Options",
    "PhantomOptions",
    "ReaderMakeOptions",
    "ReaderScoreOptions",
    "ReplayOptions",
    "WorkerOptions",
    "build",
    "check_names",
    "check_parts",
    "implies_lora",
    "seconds_of",
]
