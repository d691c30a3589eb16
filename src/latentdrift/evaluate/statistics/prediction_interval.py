"""Prediction intervals of one more draw from a normal distribution, of which a few are known."""

from __future__ import annotations

import math

from scipy.stats import t as student_t

TAIL = 0.025
"""Share of the error on either side of a 95 % interval."""


def prediction_factor(n: int) -> float:
    """Half the 95 % prediction interval of one more value, in standard deviations of n values.

    The interval is mean ± t s sqrt(1 + 1 / n), with Student's t at n - 1 degrees of freedom and s
    the standard deviation with n - 1 in its denominator (Hahn and Meeker 1991, chapter 4).

    Args:
        n: Number of values, at least 2.
    """
    return float(student_t.ppf(1 - TAIL, n - 1)) * math.sqrt(1 + 1 / n)
