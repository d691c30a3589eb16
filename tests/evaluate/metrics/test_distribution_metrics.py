"""Distances against closed forms and against torchmetrics on the same features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from latentdrift.errors import InputError
from latentdrift.evaluate.metrics.distribution_metrics import (
    DISTANCES,
    KID_SUBSETS,
    cosine_distances,
    frechet,
    gaussians,
    informed,
    judge,
    judge_together,
    kernel,
)
from latentdrift.evaluate.statistics.bootstrap import choose, rng
from latentdrift.resampling import Resampling


def ones(*sets: np.ndarray) -> list[np.ndarray]:
    return [np.ones(len(x)) for x in sets]


def normal(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, size=(n, d))


def exact(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points whose sample mean and covariance are exactly those given."""
    x = normal(n, len(mean), seed)
    x -= x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_two_gaussians():
    """Diagonal covariances: |mu|^2 + sum (sd_a - sd_b)^2."""
    mean = np.array([1.0, -2.0, 0.5])
    sd_a = np.array([1.0, 2.0, 0.1])
    sd_b = np.array([3.0, 2.0, 0.4])
    a = exact(50, np.zeros(3), np.diag(sd_a**2))
    b = exact(70, mean, np.diag(sd_b**2), seed=1)
    assert frechet(a, b)(*ones(a, b)) == pytest.approx(
        np.square(mean).sum() + np.square(sd_a - sd_b).sum(), abs=1e-9
    )


def test_frechet_of_correlated_gaussians_against_the_matrix_root():
    generator = np.random.default_rng(3)
    s_a, s_b = (m @ m.T + 0.1 * np.eye(5) for m in generator.normal(size=(2, 5, 5)))
    a = exact(40, np.zeros(5), s_a)
    b = exact(60, np.ones(5), s_b, seed=1)
    expected = 5 + np.trace(s_a) + np.trace(s_b) - 2 * np.trace(scipy.linalg.sqrtm(s_a @ s_b)).real
    assert frechet(a, b)(*ones(a, b)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(300, 16), (12, 64)], ids=["n > d", "n < d"])
def test_frechet_agrees_with_torchmetrics(n, d):
    from torchmetrics.image.fid import _compute_fid

    a = normal(n, d, 0)
    b = normal(n + 5, d, 1, 1.3, 0.2)
    statistics = [torch.from_numpy(x) for y in (a, b) for x in (y.mean(0), np.cov(y.T))]
    assert frechet(a, b)(*ones(a, b)) == pytest.approx(
        float(_compute_fid(*statistics)), abs=1e-6 if n > d else 1e-4
    )


@pytest.mark.parametrize("n", [5, 200], ids=["n < d", "n > d"])
def test_frechet_of_a_set_with_itself_is_zero(n):
    a = normal(n, 32, 0) * 10.0 ** np.linspace(-4, 3, 32)
    assert frechet(a, a)(*ones(a, a)) == pytest.approx(0, abs=1e-8 * np.cov(a.T).trace())


def test_frechet_does_not_mind_a_rotation_into_more_dimensions():
    a = normal(20, 4, 0)
    b = normal(30, 4, 1, 2.0)
    turn = np.linalg.qr(normal(100, 100, 2))[0][:4]
    assert frechet(a @ turn, b @ turn)(*ones(a, b)) == pytest.approx(
        frechet(a, b)(*ones(a, b)), rel=1e-9
    )


@pytest.mark.parametrize(("n", "m"), [(60, 50), (60, 12), (10, 12)])
@pytest.mark.parametrize("dead", [False, True], ids=["full rank", "a feature never responds"])
def test_frechet_in_large_dimensions_is_that_of_small_ones(monkeypatch, n, m, dead):
    """Gram matrices give what QR and SVD give, also where they are singular."""
    a = normal(n, 16, 0) * 10.0 ** np.linspace(-3, 2, 16)
    b = normal(m, 16, 1, 1.3, 0.2)
    if dead:
        a[:, 3] = b[:, 3] = 7.0
    expected = frechet(a, b)(*ones(a, b))
    monkeypatch.setattr("latentdrift.evaluate.metrics.distribution_metrics.LARGE", 4)
    assert frechet(a, b)(*ones(a, b)) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_agrees_with_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    a = normal(40, 8, 0)
    b = normal(50, 8, 1, 1.2, 0.3)
    same = poly_mmd(torch.from_numpy(a[:40]), torch.from_numpy(b[:40]))
    assert kernel(a, b[:40])(*ones(a, b[:40])) == pytest.approx(float(same), abs=1e-9)


def test_a_subset_is_a_matter_of_weights():
    from torchmetrics.image.kid import poly_mmd

    a = normal(40, 8, 0)
    b = normal(50, 8, 1)
    some = [choose(np.ones(len(x), bool), 15, rng(0, str(len(x)))) for x in (a, b)]
    expected = poly_mmd(*(torch.from_numpy(x[w > 0]) for x, w in zip((a, b), some, strict=True)))
    assert kernel(a, b)(*some) == pytest.approx(float(expected), abs=1e-9)


def test_weights_repeat_pictures_in_a_frechet_distance():
    a = normal(20, 3, 0)
    b = normal(25, 3, 1)
    times = np.random.default_rng(2).integers(0, 4, 20)
    repeated = np.repeat(a, times, axis=0)
    assert frechet(a, b)(times.astype(float), np.ones(25)) == pytest.approx(
        frechet(repeated, b)(*ones(repeated, b)), rel=1e-9
    )


def test_kernel_distance_is_unbiased():
    """Two samples of one distribution: zero on average, also in bootstrap resamples, which repeat
    pictures."""
    from latentdrift.evaluate.statistics.bootstrap import draws

    plain = []
    resampled = []
    for seed in range(300):
        a = normal(12, 4, 2 * seed)
        b = normal(12, 4, 2 * seed + 1)
        distance = kernel(a, b)
        plain.append(distance(*ones(a, b)))
        resampled.append(
            distance(*(next(draws(np.arange(12), 1, rng(seed, name))) for name in "ab"))
        )
    for values in (plain, resampled):
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
        assert np.std(values) > 0


@pytest.mark.parametrize("name", DISTANCES)
def test_a_verdict_says_everything_needed_to_read_it(name):
    real = normal(60, 6, 0)
    synthetic = normal(40, 6, 1, shift=1.0)
    patients = [str(i // 2) for i in range(60)]
    how = {"train": normal(30, 6, 2), "resampling": Resampling(50)}
    out = judge(DISTANCES[name], real, synthetic, patients, **how)
    assert out.ci[0] < out.value < out.ci[1]
    assert out.n == {"real": 60, "synthetic": 40}
    assert out.floor_n == 30 and out.floor_ci[0] <= out.floor <= out.floor_ci[1]
    away = 1 if name in ("kid", "mifid", "frechet") else -1
    assert min(away * out.value, away * out.matched) > away * out.floor  # they do differ
    assert out == judge(DISTANCES[name], real, synthetic, patients, **how)


def test_memorisation_agrees_with_torchmetrics():
    """Its formula, with the sets in the paper's order: synthetic pictures look for their nearest
    training picture."""
    from torchmetrics.image.mifid import _compute_cosine_distance, _mifid_compute

    a = np.abs(normal(50, 8, 0))
    near = np.abs(normal(40, 8, 1, 0.3)) + 1
    copies = a[:40] + normal(40, 8, 2, 0.01)
    for b in (near, copies, normal(40, 8, 3)):
        x = torch.from_numpy(a)
        y = torch.from_numpy(b)
        expected = _mifid_compute(x.mean(0), x.T.cov(), y, y.mean(0), y.T.cov(), x)
        assert informed(gaussians(a, b, a)(*ones(a, b))) == pytest.approx(float(expected), rel=1e-6)
        apart = cosine_distances(b, a).mean()
        assert (apart if apart < 0.1 else 1) == pytest.approx(
            float(_compute_cosine_distance(y, x)), abs=1e-6
        )


def test_memorisation_in_closed_form():
    """At 60 degrees from the only training direction, the cosine distance is 1 / 2; at 8 degrees
    MiFID divides by 1 - cos 8."""
    train = np.tile([[2.0, 0.0]], (2, 1))
    assert cosine_distances(np.array([[1.0, np.sqrt(3)], [-1.0, 0.0]]), train) == pytest.approx(
        [0.5, 0.0]
    )
    angle = np.deg2rad(8)
    b = np.array([[np.cos(angle), np.sin(angle)]]) * np.array([[1.0], [3.0]])
    a = b + np.array([0.0, 5.0])
    assert informed(gaussians(a, b, train)(*ones(a, b))) == pytest.approx(
        25 / (1 - np.cos(angle)), rel=1e-9
    )


def test_blocks_of_training_pictures_change_nothing(monkeypatch):
    x = normal(20, 5, 0)
    train = normal(33, 5, 1)
    whole = cosine_distances(x, train)
    monkeypatch.setattr("latentdrift.evaluate.metrics.distribution_metrics.BLOCK", 7)
    assert np.array_equal(cosine_distances(x, train), whole)


def test_rows_stand_in_the_order_in_which_they_are_read():
    assert next(iter(DISTANCES)) == "kid" and list(DISTANCES)[-2:] == ["mifid", "frechet"]


def test_rows_that_are_judged_together_have_one_way_to_do_it():
    """Images, subsets and resamples are drawn once for all rows with the same `prepare`."""
    by_prepare = {}
    for row in DISTANCES.values():
        alike = by_prepare.setdefault(row.prepare, row)
        assert (row.max_images, row.min_images, row.subsets) == (
            alike.max_images,
            alike.min_images,
            alike.subsets,
        )
    assert len(by_prepare) == 3


@pytest.mark.parametrize(
    "names", [("precision", "recall", "density", "coverage"), ("mifid", "frechet")]
)
def test_judged_together_is_judged_alone_at_the_cost_of_one(names):
    real = normal(60, 6, 0)
    synthetic = normal(40, 6, 1, shift=0.5)
    how = {"train": normal(30, 6, 2), "resampling": Resampling(20)}
    calls = []
    prepare = DISTANCES[names[0]].prepare

    def counted(*sets):
        calls.append(len(sets))
        return prepare(*sets)

    rows = [replace(DISTANCES[name], prepare=counted) for name in names]
    together = judge_together(rows, real, synthetic, **how)
    assert len(calls) == 2  # against the synthetic set, and real against real
    assert together == [judge(DISTANCES[name], real, synthetic, **how) for name in names]


def test_subsets_are_smaller_than_the_set_and_spread():
    out = judge(DISTANCES["kid"], normal(30, 6, 0), normal(20, 6, 1), resampling=Resampling(10))
    assert out.subsets.size == 10 and out.subsets.count == KID_SUBSETS and out.subsets.sd > 0


def test_synthetic_images_of_the_real_distribution_reach_the_floor():
    out = judge(
        DISTANCES["frechet"], normal(200, 5, 0), normal(200, 5, 1), resampling=Resampling(20)
    )
    assert out.matched == pytest.approx(out.floor, rel=0.35)
    assert out.value < out.floor  # twice as many images, half the bias: why only `matched` compares


def test_the_interval_covers_the_scatter_of_the_score():
    """The bootstrap's spread against that of the score over fresh data."""

    def score(seed: int) -> float:
        a = normal(60, 3, 10 * seed)
        b = normal(60, 3, 10 * seed + 1, 1.5)
        return frechet(a, b)(*ones(a, b))

    truth = 2 * 1.96 * np.std([score(seed) for seed in range(200)])
    widths = [
        np.ptp(
            judge(
                DISTANCES["frechet"],
                normal(60, 3, s),
                normal(60, 3, s + 500, 1.5),
                resampling=Resampling(100),
            ).ci
        )
        for s in range(8)
    ]
    assert np.mean(widths) == pytest.approx(truth, rel=0.35)


def test_one_patient_has_neither_interval_nor_floor():
    out = judge(DISTANCES["frechet"], normal(10, 3, 0), normal(10, 3, 1), ["only"] * 10)
    assert out.ci is None and out.floor is None and np.isfinite(out.value)
    assert list(out.to_dict()) == ["value", "ci", "n", "floor"]


def test_more_images_than_a_row_takes_are_sampled_and_counted():
    out = judge(
        replace(DISTANCES["kid"], max_images=20),
        normal(50, 3, 0),
        normal(30, 3, 1),
        [str(i) for i in range(50)],
        resampling=Resampling(10),
    )
    assert out.n == {"real": 20, "synthetic": 20}


@pytest.mark.parametrize(
    "broken", [np.full((5, 3), np.nan), np.zeros((1, 3)), np.zeros(5)], ids=["nan", "one", "flat"]
)
def test_bad_features_get_a_sentence(broken):
    with pytest.raises(InputError, match=r"finite|at least 2"):
        frechet(broken, np.zeros((5, 3)))
