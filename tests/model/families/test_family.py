"""Families: methods and editors that a family cannot do are refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latentdrift.errors import OptionError
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.families.family import Family


def test_a_method_or_editor_that_a_family_cannot_do_is_refused_with_the_reason() -> None:
    row = FAMILIES["sd"]
    limited: Family = replace(row, unsupported={"lora": "its network has no linear layers"})
    limited.check_supported("method", "full")
    with pytest.raises(OptionError, match=r"method 'lora' .* has no linear layers"):
        limited.check_supported("method", "lora")
