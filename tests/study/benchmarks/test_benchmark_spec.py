"""Tables of benchmarks: a start that needs a search, and fits that each variant names."""

from __future__ import annotations

import pytest

from latentdrift.study.benchmarks.benchmark import TABLES
from latentdrift.study.benchmarks.benchmark_spec import NO_START, Table, Variant, always


def test_a_start_with_a_searched_delta_needs_a_search() -> None:
    assert not Variant("plain", "plain").searched
    assert Variant("plain", "plain").start == NO_START
    assert Variant("best", "plain", {"drift": "{searched}", "drift_mode": "infer"}).searched


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.title)
def test_every_variant_is_a_fit_of_its_table(table: Table) -> None:
    for name, variant in table.variants.items():
        assert variant.summary, name
        assert variant.fit is None or variant.fit in table.fits, name
        assert 0 <= variant.real <= 1
    assert all(name in table.variants for _, name in table.paper)
    assert all(len(row) <= len(table.paper_columns) for row in table.paper.values())


def test_any_method_can_do_any_variant_unless_a_table_says_otherwise() -> None:
    assert always("lora", "zero-snr")
