"""Groups of options: every option has one heading."""

from __future__ import annotations

from latentdrift import config
from latentdrift.config.option_groups import EXCEPTIONS, OPTION_GROUPS, grouped
from latentdrift.verbs import VERBS


def test_every_option_has_one_heading() -> None:
    names = [name for options in OPTION_GROUPS.values() for name in options]
    assert len(names) == len(set(names))
    known: set[str] = set()
    for row in VERBS.values():
        fields = set(row.options.model_fields)
        assert {name for options in grouped(row.options).values() for name in options} == fields
        known |= fields
    assert set(names) <= known
    for model, option in EXCEPTIONS:
        assert option in getattr(config, model).model_fields
