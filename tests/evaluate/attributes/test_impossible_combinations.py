"""Combinations of attributes that no real image has."""

from __future__ import annotations

import numpy as np
import shapes

from latentdrift.evaluate.attributes.impossible_combinations import EXPECTED, rules


def test_a_combination_that_no_real_image_has_is_reported() -> None:
    rows = shapes.table(60, 2)
    both = rows.assign(
        findings=np.where(np.arange(60) < 7, "Effusion|No Finding", rows["findings"])
    )
    synthetic = shapes.shapes(both, 2)
    judges = shapes.judges()
    real = shapes.held_out()
    train = shapes.train()
    (rule,) = rules(judges, train, real, synthetic, judges(real), judges(synthetic))
    assert rule.values == ["findings=Effusion", "findings=No Finding"] and rule.requested == 7
    assert rule.expected > EXPECTED and 0 <= rule.seen <= 60 and rule.seen_real < 0.1
    few = train.take(np.arange(8)), real.take(np.arange(2))
    assert (
        rules(judges, *few, synthetic, judges(real), judges(synthetic)) == []
    )  # absent, and by chance
