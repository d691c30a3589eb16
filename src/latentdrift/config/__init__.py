"""One frozen model per verb: the only place where a default lives.

The command line, the YAML form (`--config`), the docs table and the record of a run are all derived from these classes.
"""

from latentdrift.config.adapters import PRESETS, AdoptOptions, ExportOptions, FitOptions
from latentdrift.config.benches import (
    BenchDrawnOptions,
    BenchDriftOptions,
    BenchEditorsOptions,
    BenchOptions,
    BenchTable1Options,
    BenchTable2Options,
    BenchTable3Options,
    BenchTable4Options,
)
from latentdrift.config.cohorts import ImportOptions, InspectOptions, PhantomOptions
from latentdrift.config.drift import DriftEstimateOptions, DriftOptions, DriftSearchOptions
from latentdrift.config.judges import AuditOptions, EvaluateOptions, ReaderMakeOptions, ReaderScoreOptions
from latentdrift.config.names import NAMES, check_names
from latentdrift.config.parts import BY_METHOD, PARTS, check_parts
from latentdrift.config.pictures import EditOptions, GenerateOptions
from latentdrift.config.runs import DemoOptions, ReplayOptions
from latentdrift.config.shared import Options

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
    "check_names",
    "check_parts",
]
