"""Results of a comparison of networks, as report.json holds them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from latentdrift.evaluate.downstream.utility_results import Arm

CONTENTS = {"value": 0.8, "ci": [0.7, 0.9], "sd": None, "trained": [[4, 4], [8, 8]]}


def test_the_reference_has_no_keys_of_differences() -> None:
    assert Arm.model_validate(CONTENTS).to_dict() == CONTENTS
    compared = CONTENTS | {"difference": 0.1, "difference_ci": None}
    assert Arm.model_validate(compared).to_dict() == compared


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="gain"):
        Arm.model_validate(CONTENTS | {"gain": 0.1})
