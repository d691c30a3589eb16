"""Messages from below the command line name parameters; the command line names flags."""

from __future__ import annotations

import logging

import pytest

from latentdrift.cli.flags import FlagFormatter, with_flags


@pytest.mark.parametrize(
    ("verb", "text", "shown"),
    [
        ("fit", "give another `out`", "give another --out"),
        ("fit", "take `drift_mode=pin`", "take --drift-mode pin"),
        ("fit", "`patient_info=False` and `zero_snr=True`", "--no-patient-info and --zero-snr"),
        ("fit", "the `cohort` is empty", "the COHORT is empty"),
        ("edit", "give `set={'age': 85}`", "give --set age=85"),
        ("edit", "`given={'diagnosis': 'no dementia'}`", "--given 'diagnosis=no dementia'"),
        ("edit", "`given={'view': ...}` says another", "--given view=... says another"),
        ("edit", "`given={broken`", "--given {broken"),
        ("inspect", "such as `window=-135,214`", "such as --window -135,214"),
        ("import", "such as `window=-135,214`", "such as --window -135,214"),
        ("inspect", "`age=85` and `diagnosis=dementia`", "`age=85` and `diagnosis=dementia`"),
        ("inspect", "import it with another `split`", "import it with another `split`"),
        ("fit", "run it with `debug`", "run it with --debug"),
        (
            "fit",
            "type `latentdrift adopt X --base BASE`",
            "type `latentdrift adopt X --base BASE`",
        ),
        ("edit", "use `train_text_encoder`", "use `fit --train-text-encoder`"),
        (
            "edit",
            "use `prompt_style=findings-first`",
            "use `fit --prompt-style findings-first`",
        ),
        (
            "edit",
            "leave it out with `copy_slope=False`",
            "leave it out with `drift estimate --no-copy-slope`",
        ),
        ("adopt", "with `hint_image`", "with --hint-image"),
        ("evaluate", "`mask=COLUMN` or `lesion_fraction`", "`mask=COLUMN` or `lesion_fraction`"),
        ("generate", "entry `base`: give `base`", "entry `base`: give --base"),
        ("nothing", "give another `out`", "give another `out`"),
    ],
)
def test_known_options_become_flags(verb: str, text: str, shown: str) -> None:
    assert with_flags(text, verb) == shown


def test_log_lines_name_flags() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "raise `%s`", ("strength",), None)
    assert FlagFormatter("edit").format(record) == "raise --strength"
