"""The loss against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from latentdrift.adapt.training.optimization import losses
from latentdrift.adapt.training.optimization.losses import denoising_loss, draw_times, min_snr
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Schedule

kinds = pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
T = torch.tensor([1, 400, 999])


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x0, eps = torch.randn(
        (2, 3, 4, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return x0, eps


@kinds
def test_the_exact_answer_has_no_loss(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    x0, eps = data()
    a, s = (scale.reshape(-1, 1, 1, 1) for scale in (schedule.a(T), schedule.s(T)))
    answer = eps if kind == "epsilon" else a * eps - s * x0
    assert (
        denoising_loss(lambda xt, t, c: answer, schedule, x0, eps, T, torch.zeros(3, 1, 1)).max()
        < 1e-12
    )


@kinds
def test_silence_costs_the_mean_square_of_the_target_per_image(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    x0, eps = data()
    loss = denoising_loss(
        lambda xt, t, c: torch.zeros_like(xt), schedule, x0, eps, T, torch.zeros(3, 1, 1)
    )
    expected = schedule.target(x0, eps, T).square().mean((1, 2, 3))
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)


def test_what_a_latent_counts_multiplies_its_error() -> None:
    """Of a prediction of 0 the error is eps squared; a quarter of the places count double, the
    others half."""
    x0, eps = data()
    weight = torch.full((3, 1, 8, 8), 0.5)
    weight[..., :4, :4] = 2.0
    how = (
        lambda xt, t, c: torch.zeros_like(xt),
        Schedule.from_config({}),
        x0,
        eps,
        T,
        torch.zeros(3, 1, 1),
    )
    expected = (eps.square() * weight).mean((1, 2, 3))
    torch.testing.assert_close(
        denoising_loss(*how, weight=weight).double(), expected, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(
    ("kind", "counts"), [("epsilon", [1.0, 0.25]), ("v_prediction", [4 / 5, 5 / 21])]
)
def test_min_snr_caps_what_a_time_counts(kind: str, counts: list[float]) -> None:
    """SNR 4 and 20 with a cap of 5: min(SNR, 5) / SNR of eps, over SNR + 1 of v (Hang et al. 2023,
    section 3.4)."""

    class Times(Schedule):
        def _at(self, t: Any) -> torch.Tensor:
            snr = torch.tensor([4.0, 20.0]).double()
            return snr / (snr + 1)

    schedule = Times(torch.zeros(2), kind, {})
    assert min_snr(schedule, torch.tensor([0, 1]), 5.0).tolist() == pytest.approx(counts)


@kinds
def test_plain_noise_on_the_wrapped_network_is_drifted_noise_on_the_plain_one(kind: str) -> None:
    """Loss and gradients of the two forms of drift, A and W, agree."""
    schedule = Schedule.from_config({"prediction_type": kind})
    delta = torch.tensor([0.1, -0.05, 0.2, 0.0]).double()
    x0, eps = data()
    torch.manual_seed(0)
    network = torch.nn.Conv2d(4, 4, 3, padding=1).double()

    def denoiser(xt: torch.Tensor, t: Any, context: Any) -> torch.Tensor:
        return network(xt)

    wrapped = Drift.of(delta.tolist()).wrap(denoiser, schedule)
    results = []
    for form, noise in ((wrapped, eps), (denoiser, eps + delta.reshape(1, 4, 1, 1))):
        network.zero_grad()
        loss = denoising_loss(form, schedule, x0, noise, T, torch.zeros(3, 1, 1))
        loss.sum().backward()
        results.append((loss.detach(), network.weight.grad.clone()))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_times_are_uniform_and_evenly_spread() -> None:
    source = torch.Generator().manual_seed(0)
    draws = torch.stack([draw_times(8, 1000, source) for _ in range(2000)])
    assert draws.min() == 0
    assert draws.max() == 999
    assert draws[:, 0].double().mean() == pytest.approx(499.5, abs=3 * 288.7 / 2000**0.5)
    gaps = draws.sort(1).values.diff(dim=1)
    assert gaps.min() >= 124
    assert gaps.max() <= 126


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_is_the_closed_form(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    t = torch.arange(1000)
    gamma = 5.0
    alpha_bar = torch.cumprod(
        1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0
    )
    snr = alpha_bar / (1 - alpha_bar)
    expected = torch.minimum(snr, torch.tensor(gamma)) / (snr if kind == "epsilon" else snr + 1)
    found = losses.min_snr(schedule, t, gamma)
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=0
    )  # diffusers keeps alpha_bar in float32
    assert found[-1] == pytest.approx(
        1.0 if kind == "epsilon" else (snr[-1] / (snr[-1] + 1)).item(), rel=1e-4
    )
    # an error d of x0 is an error d a / s of eps and d / s of v: it counts min(SNR, gamma) d^2 in
    # both
    per_x0 = snr if kind == "epsilon" else snr + 1
    torch.testing.assert_close(found * per_x0, snr.clamp(max=gamma), rtol=1e-4, atol=0)


def test_min_snr_of_pure_noise_is_a_number() -> None:
    schedule = Schedule.from_config({"prediction_type": "v_prediction"}).altered(zero_snr=True)
    assert losses.min_snr(schedule, torch.tensor([999]), 5.0).item() == 0.0
