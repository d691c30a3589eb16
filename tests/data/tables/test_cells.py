"""Cells of CSV files: a spreadsheet runs none of them, and every text comes back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latentdrift.data.tables.cells import defuse, restore


@given(st.text(alphabet="'=+-@ a1.e", max_size=12))
@example("'=1")
@example("''-x")
def test_every_text_comes_back(text):
    assert restore(defuse(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "'=1", "--x"])
def test_a_formula_gets_a_quote(text):
    assert defuse(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-3.5", "+1e-4", "++", "-", "a=1", "left-sided", "'quoted'"])
def test_numbers_signs_and_words_stay(text):
    assert defuse(text) == text
