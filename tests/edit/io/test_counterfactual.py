"""An edit of a picture on a random network: what comes out, and that every option reaches it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edits import edit
from variants import some_at_once

from latentdrift.edit.editors import prompt_to_prompt
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.errors import InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

OPTIONS = {"editor": "ddim", "strength": 0.6, "steps": 10, "guidance": 2.5, "seed": 0}
BY_PROMPTS = [
    name for name, row in EDITORS.items() if not row.takes_instruction and not row.needs_controlnet
]
MASK = torch.zeros(1, 1, 32, 32)
MASK[..., 8:24, 8:24] = 1.0
X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module", params=some_at_once(("epsilon", "v_prediction"), ("epsilon",)))
def base(request: pytest.FixtureRequest, tiny_base_folder: Path, tiny_v_folder: Path) -> Base:
    return Base.load(
        tiny_base_folder if request.param == "epsilon" else tiny_v_folder,
        device="cpu",
        precision="fp32",
    )


def edited(
    base: Base,
    target: str = "a brain MRI with dementia",
    drift: Drift | None = None,
    **options: object,
) -> Counterfactual:
    asked = {**OPTIONS, **options}
    mask = (
        {"mask": MASK}
        if EDITORS.get(asked["editor"]) and EDITORS[asked["editor"]].needs_mask
        else {}
    )
    return edit(base, drift or Drift(), X, "a brain MRI", target, **{**mask, **asked})


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_three_pictures(base: Base, editor: str) -> None:
    result = edited(base, editor=editor)
    assert torch.equal(result.original, X)
    for picture in (result.reconstruction, result.counterfactual):
        assert (
            picture.shape == X.shape and picture.dtype == torch.float32 and picture.abs().max() <= 1
        )
    assert not torch.equal(result.reconstruction, result.counterfactual)


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_the_same_seed_is_the_same_edit(base: Base, editor: str) -> None:
    assert torch.equal(
        edited(base, editor=editor).counterfactual, edited(base, editor=editor).counterfactual
    )


def test_inversion_comes_back_to_what_the_autoencoder_keeps(base: Base) -> None:
    kept = base.decode(base.moments(X)[0])
    few, many = (
        (edited(base, steps=steps, inversion="negative-prompt").reconstruction - kept).abs().max()
        for steps in (25, 100)
    )
    assert many < few / 3 and many < 0.02  # the error is of second order in the step


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_an_edit_to_the_same_prompt_is_the_reconstruction(base: Base, editor: str) -> None:
    for inversion in (
        EDITORS[editor].inversions if "inversion" in EDITORS[editor].options else (None,)
    ):
        result = edited(base, target="a brain MRI", editor=editor, inversion=inversion)
        assert torch.allclose(result.reconstruction, result.counterfactual, atol=1e-4), inversion


@pytest.mark.parametrize("edge", [1.0, 0.5], ids=["hard mask", "soft mask"])
@pytest.mark.parametrize(
    ("editor", "inversion"),
    [
        (editor, inversion)
        for editor in ("ddim", "prompt-to-prompt")
        for inversion in EDITORS[editor].inversions
    ],
)
def test_in_a_mask_too_an_edit_to_the_same_prompt_changes_nothing(
    base: Base, editor: str, inversion: str, edge: float
) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24] = edge
    result = edited(
        base, target="a brain MRI", editor=editor, inversion=inversion, mask=mask, guidance=5.0
    )
    assert torch.allclose(result.reconstruction, result.counterfactual, atol=1e-4)


@pytest.mark.parametrize("editor", [name for name in BY_PROMPTS if EDITORS[name].inversions])
def test_the_reconstruction_is_what_the_autoencoder_keeps(base: Base, editor: str) -> None:
    """By construction, by the order of the method, or nearer than guidance away from the empty
    prompt leaves it."""
    kept = base.decode(base.moments(X)[0])
    inversion = EDITORS[editor].inversions[0]

    def far(editor: str, steps: int, inversion: str | None = None) -> float:
        made = edited(base, editor=editor, steps=steps, seed=3, inversion=inversion).reconstruction
        return (made - kept).abs().mean().item()

    if inversion in ("direct", "edit-friendly"):
        assert far(editor, 5) < 1e-5
    else:  # null-text, regularised
        assert far(editor, 20) < far("ddim", 20, "ddim")


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_an_edit_leaves_the_network_as_it_was(base: Base, editor: str) -> None:
    processors = dict(base.network.attn_processors)
    state = {k: v.clone() for k, v in base.network.state_dict().items()}
    edited(base, editor=editor, steps=3)
    assert all(base.network.attn_processors[name] is own for name, own in processors.items())
    assert all(torch.equal(state[key], value) for key, value in base.network.state_dict().items())
    assert all(
        not parameter.requires_grad and parameter.grad is None
        for parameter in base.network.parameters()
    )


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_drift_of_zero_is_no_drift(base: Base, editor: str) -> None:
    none, zero = (
        edited(base, editor=editor, steps=4, drift=drift)
        for drift in (Drift(), Drift.of((0.0,) * 4))
    )
    assert torch.equal(none.counterfactual, zero.counterfactual) and torch.equal(
        none.reconstruction, zero.reconstruction
    )


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_drift_in_training_is_followed_by_every_editor(base: Base, editor: str) -> None:
    """A network that was moved by its drift and is wrapped in it edits as the one that was not
    moved."""
    delta = (0.3, -0.2, 0.1, 0.0)

    class Moved(torch.nn.Module):
        """What training under drift makes of the network: it sees xt + s delta, and says what the
        other says, and the drift."""

        def __init__(self) -> None:
            super().__init__()
            self.net = base.network

        def __getattr__(self, name: str) -> object:
            return super().__getattr__(name) if name == "net" else getattr(self.net, name)

        def forward(
            self, xt: torch.Tensor, t: torch.Tensor, text: torch.Tensor, **more: object
        ) -> tuple[torch.Tensor]:
            mean = torch.tensor(delta).reshape(1, -1, 1, 1)
            plain = xt - base.schedule.scales(t, xt)[1] * mean
            return (self.net(plain, t, text, **more)[0] + base.schedule.shift(t, xt) * mean,)

    plain = edited(base, editor=editor, steps=5, guidance=2.0)
    drifted = edited(
        replace(base, network=Moved()),
        editor=editor,
        steps=5,
        guidance=2.0,
        drift=Drift.of(delta, "train"),
    )
    assert torch.allclose(plain.counterfactual, drifted.counterfactual, atol=2e-3)


CHANGES = {
    "prompt-to-prompt": [
        {"cross_share": 0.0},
        {"self_share": 1.0},
        {"exchange": "refine"},
        {"emphasis": ("normal=3",)},
        {"inversion": "ddim"},
    ],
    "pix2pix-zero": [
        {"attention_weight": 5.0},
        {"inversion": "negative-prompt"},
        {"sentences": (("a brain",), ("a chest",))},
    ],
    "ledits": [{"focus": 0.2}, {"parts": ("a brain MRI normal", "a brain MRI old")}],
    "diffedit": [{"mask_threshold": 0.95}, {"inversion": "ddim"}],
    "edit-friendly": [{"seed": 5}],
}


@pytest.mark.parametrize(
    ("editor", "change"), [(name, change) for name, all_ in CHANGES.items() for change in all_]
)
def test_every_editors_own_option_reaches_the_picture(
    base: Base, editor: str, change: dict[str, object]
) -> None:
    plain, changed = (
        edited(base, target="a normal chest MRI", editor=editor, steps=5, **how)
        for how in ({}, change)
    )
    assert not torch.equal(plain.counterfactual, changed.counterfactual)


def test_a_local_blend_changes_what_the_words_look_at(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the attention to the differing words is large the counterfactual is, elsewhere the
    reconstruction."""
    monkeypatch.setattr(prompt_to_prompt, "BLEND_AT", 1.0)  # nowhere
    how = {"target": "a normal chest MRI", "editor": "prompt-to-prompt", "steps": 5}
    plain = edited(base, **how)
    nowhere = edited(base, local_blend=True, **how)
    assert torch.equal(plain.reconstruction, nowhere.reconstruction)
    assert torch.allclose(nowhere.counterfactual, nowhere.reconstruction, atol=1e-5)
    monkeypatch.setattr(prompt_to_prompt, "BLEND_AT", -1.0)  # everywhere
    assert torch.allclose(
        edited(base, local_blend=True, **how).counterfactual, plain.counterfactual, atol=1e-5
    )


def test_an_inversion_is_made_once_and_shared_by_editors(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = InversionCache(tmp_path / "kept", {"base": base.hash})
    made = []
    row = INVERSIONS["direct"]
    counted = replace(row, invert=lambda task: (made.append(1), row.invert(task))[1])
    monkeypatch.setitem(INVERSIONS, "direct", counted)
    alone = edited(base, editor="ddim")
    for editor in ("ddim", "prompt-to-prompt", "diffedit", "ddim"):
        kept = edited(base, editor=editor, cache=shelf)
        assert editor != "ddim" or torch.equal(kept.counterfactual, alone.counterfactual)
    assert len(made) == 2 and len(list((tmp_path / "kept").glob("*.safetensors"))) == 1
    edited(base, editor="ddim", cache=shelf, steps=7)
    edited(base, editor="ddim", cache=replace(shelf, model={"base": "another"}))
    edited(base, editor="ddim", cache=shelf, guidance=1.0)
    assert len(made) == 4  # guidance has no part in it


def test_a_damaged_inversion_is_a_sentence(base: Base, tmp_path: Path) -> None:
    shelf = InversionCache(tmp_path, {})
    edited(base, cache=shelf)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="delete it, and it is made again"):
        edited(base, cache=shelf)


@pytest.mark.parametrize(
    "change", [{"strength": 0.2}, {"guidance": 1.0}, {"steps": 20}, {"editor": "sdedit"}]
)
def test_every_option_reaches_the_picture(base: Base, change: dict[str, object]) -> None:
    assert not torch.equal(edited(base).counterfactual, edited(base, **change).counterfactual)


def test_the_seed_reaches_the_editor_that_draws_noise(base: Base) -> None:
    first, second = (edited(base, editor="sdedit", seed=seed).counterfactual for seed in (0, 1))
    assert not torch.equal(first, second)


def test_drift_in_training_reaches_the_picture_and_drift_of_the_start_does_not(base: Base) -> None:
    plain, trained, start = (
        edited(base, drift=drift).counterfactual
        for drift in (Drift(), Drift.of((0.5,) * 4, "train"), Drift.of((0.5,) * 4, "infer"))
    )
    assert not torch.equal(plain, trained)
    assert torch.equal(plain, start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"editor": "ddmi"},
            "unknown editor 'ddmi'; known: controlnet, ddim, diffedit, edit-friendly, inpaint, "
            "instruct-pix2pix, ledits",
        ),
        ({"strength": 0.0}, "strength 0.0 of an edit; it must be above 0 and at most 1"),
        ({"strength": 1.5}, "strength 1.5"),
        ({"steps": 5000}, "5000 sampling steps"),
        ({"target": "brain " * 90}, "reads 75"),
        ({"editor": "inpaint", "mask": None}, "give one with `mask=FILE`"),
        (
            {"editor": "edit-friendly", "mask": MASK},
            "`mask` has no part in editor 'edit-friendly', but in sdedit",
        ),
        ({"focus": 0.5}, "`focus` has no part in editor 'ddim', but in ledits"),
        (
            {"editor": "null-text", "inversion": "ddim"},
            "`inversion` has no part in editor 'null-text'",
        ),
        (
            {"inversion": "edit-friendly"},
            "'edit-friendly'; it takes direct, negative-prompt, ddim, null-text",
        ),
        ({"inversion": "nulltext"}, "unknown inversion 'nulltext'; .*did you mean 'null-text'"),
        (
            {"editor": "prompt-to-prompt", "exchange": "swap"},
            "unknown exchange 'swap'; known: refine, replace",
        ),
        ({"editor": "prompt-to-prompt", "emphasis": ("brain",)}, "write WORD=FACTOR"),
        ({"editor": "prompt-to-prompt", "emphasis": ("brain=-1",)}, "with a factor from 0 on"),
        ({"editor": "prompt-to-prompt", "emphasis": ("effusion=2",)}, "has no 'effusion'"),
    ],
)
def test_what_cannot_work_is_a_sentence(
    base: Base, options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        edited(base, **options)


def test_a_picture_out_of_range_is_refused(base: Base) -> None:
    with pytest.raises(InputError, match=r"\[-1, 1\]"):
        edit(base, Drift(), X * 3, "a", "b", **OPTIONS)
