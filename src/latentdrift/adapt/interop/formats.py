"""FORMATS: what a file of another tool is, by its names and shapes, and what there is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from latentdrift.adapt.adapters.checkpoint_reader import Foreign
from latentdrift.adapt.adapters.checkpoint_reader import read as open_file
from latentdrift.adapt.interop import lora_keys, network_weights
from latentdrift.adapt.interop.network_weights import Network
from latentdrift.adapt.methods import lora
from latentdrift.errors import AdapterError
from latentdrift.model.base import Base
from latentdrift.model.families.families import FAMILIES

# Width of a prompt's vectors -> the models that have it, of families that are not supported.
OTHER_WIDTHS = {1280: "SDXL's second text encoder", 2048: "SDXL"}
# What latentdrift cannot use: its name, and how names in it begin or what they contain.
REFUSED = {
    "a U-Net or ControlNet for SDXL": ("add_embedding.linear_1.weight",),
    "a textual inversion for SDXL": ("clip_g",),  # clip_l alone is as wide as the prompts of SD 1.x
    "a LoRA for SDXL": ("lora_te2_", "text_encoder_2.", "lora_unet_input_blocks_", "add_embedding"),
    "a LoHa or LoKr (LyCORIS)": ("hada_", "lokr_"),
    "a DoRA": ("dora_scale", "lora_magnitude_vector"),
    "a whole model": ("model.diffusion_model.", "encoder.conv_in", "quant_conv"),
}


BUNDLE = "bundle_emb."
"""How names of embeddings begin that come inside a LoRA's file."""


@dataclass(frozen=True)
class ForeignWeights:
    """Contents of a file of another tool, as changes of a base, words or a network."""

    changes: lora.Lora = field(default_factory=dict)
    words: Mapping[str, Tensor] = field(default_factory=dict)
    """Word in angle brackets -> vectors [V, D] float32."""
    network: Network | None = None

    @property
    def method(self) -> str:
        """Row of METHODS that these weights belong to."""
        return (
            self.network.method if self.network else "lora" if self.changes else "textual-inversion"
        )


@dataclass(frozen=True)
class Format:
    """A row of FORMATS."""

    recognise: Callable[[Foreign], bool]
    read: Callable[[Foreign, Base], ForeignWeights]
    width: Callable[[Foreign], int | None]
    """Width of the prompt embeddings that the file is made for; None where the file does not state
    it."""


def _any(*parts: str) -> Callable[[Foreign], bool]:
    return lambda foreign: any(part in key for key in foreign.tensors for part in parts)


def _is_kohya(foreign: Foreign) -> bool:
    parts = [part for row in FAMILIES.values() for part in row.lora_parts if part.kohya]
    beginnings = [f"{part.kohya}_" for part in parts]
    return _any(*beginnings, "lora_te1_")(foreign)


def _is_cloneofsimo(foreign: Foreign) -> bool:
    named = [
        key for key in foreign.tensors if re.fullmatch(r"(unet|text_encoder):\d+:(up|down)", key)
    ]
    others = foreign.tensors.keys() - named
    numbers = {str(number) for number in range(len(foreign.tensors))}
    listed = (
        foreign.tensors.keys() == numbers
        and len(numbers) % 2 == 0
        and all(t.ndim == 2 for t in foreign.tensors.values())
    )
    return listed or (bool(named) and all(foreign.metadata.get(key) == "<embed>" for key in others))


def _cloneofsimo(foreign: Foreign, base: Base) -> ForeignWeights:
    words = {
        word(key): _rows(rows)
        for key, rows in foreign.tensors.items()
        if foreign.metadata.get(key) == "<embed>"
    }
    return ForeignWeights(lora_keys.cloneofsimo(foreign, base), words)


def _numbered_width(foreign: Foreign) -> int | None:
    """The cross-attention's keys of the first block are the sixth pair, or the seventh behind a
    gate eight times as wide."""
    numbered = lora_keys.numbered_pairs(foreign)
    if "unet" not in numbered:
        return numbered["text_encoder"][0][1].shape[1]
    up, down = numbered["unet"][min(4, len(numbered["unet"]) - 1)]
    place = 6 if up.shape[0] == 8 * down.shape[1] else 5
    return numbered["unet"][place][1].shape[1] if len(numbered["unet"]) > place else None


def _named_width(foreign: Foreign) -> int | None:
    """In-features of a cross-attention's keys or values, or of the text encoder's queries."""
    down = re.compile(
        r".*(attn2[._](processor\.)?to_[kv]|(?:self_attn[._])(to_q|q_proj)).*(lora_A|down).*"
    )
    return next(
        (tensor.shape[1] for key, tensor in foreign.tensors.items() if down.fullmatch(key)), None
    )


def _network_width(foreign: Foreign) -> int | None:
    """In-features of a cross-attention's keys."""
    keys = re.compile(r".*attn2\.(processor\.)?to_k(_custom_diffusion)?\.weight")
    return next(
        (tensor.shape[1] for key, tensor in foreign.tensors.items() if keys.fullmatch(key)), None
    )


def _bundled(
    read: Callable[[Foreign, Base], lora.Lora],
) -> Callable[[Foreign, Base], ForeignWeights]:
    """A LoRA with words beside it, `bundle_emb.WORD.string_to_param.*`, as kohya's and OneTrainer's
    files may have them."""

    def both(foreign: Foreign, base: Base) -> ForeignWeights:
        words = {key: tensor for key, tensor in foreign.tensors.items() if key.startswith(BUNDLE)}
        changes = {key: tensor for key, tensor in foreign.tensors.items() if key not in words}
        spelled = {
            word(key.removeprefix(BUNDLE).split(".")[0]): _rows(tensor)
            for key, tensor in words.items()
        }
        return ForeignWeights(read(replace(foreign, tensors=changes), base), spelled)

    return both


def _custom(foreign: Foreign, base: Base) -> ForeignWeights:
    """The projections, and the words in the files beside: diffusers' script writes `<new1>.bin`.

    Raises:
        AdapterError: There are no words.
    """
    words: dict[str, Tensor] = {}
    for path in _beside(foreign.path):
        other = open_file(path)
        words |= _words(other, base).words if _is_words(other) else {}
    if not words:
        raise AdapterError(
            f"{foreign.path} comes without its word; put that file, such as <new1>.bin, beside it"
        )
    return ForeignWeights(words=words, network=network_weights.custom(foreign))


def _beside(path: Path) -> Iterator[Path]:
    """Files that may hold words, the safe form of each only."""
    for other in sorted(path.parent.glob("*.safetensors")):
        if other.name != path.with_suffix(other.suffix).name:
            yield other
    for other in sorted([*path.parent.glob("<*>.bin"), *path.parent.glob("learned_embeds*.bin")]):
        if not other.with_suffix(".safetensors").is_file():
            yield other


def _is_words(foreign: Foreign) -> bool:
    widths = {
        tensor.shape[-1]
        for tensor in foreign.tensors.values()
        if tensor.ndim in (1, 2) and tensor.is_floating_point()
    }
    plain = not any(key.endswith((".weight", ".bias")) for key in foreign.tensors)
    return (
        plain
        and len(widths) == 1
        and all(tensor.ndim in (1, 2) for tensor in foreign.tensors.values())
    )


def _words_width(foreign: Foreign) -> int:
    return next(iter(foreign.tensors.values())).shape[-1]


def _one_word(foreign: Foreign, base: Base) -> ForeignWeights:
    """AUTOMATIC1111 gives a file's vectors the file's name; the older layout has one inside."""
    (rows,) = foreign.tensors.values()
    return ForeignWeights(
        words={word(str(foreign.metadata.get("name") or foreign.path.stem)): _rows(rows)}
    )


def _words(foreign: Foreign, base: Base) -> ForeignWeights:
    return ForeignWeights(words={word(key): _rows(rows) for key, rows in foreign.tensors.items()})


def _rows(tensor: Tensor) -> Tensor:
    return tensor.float().reshape(-1, tensor.shape[-1])


def word(name: str) -> str:
    """Put a name in angle brackets; a plain word as a token would change every prompt with it."""
    inner = re.sub(r"[<>\s]+", "-", name.strip().strip("<>"))
    return f"<{inner}>"


# The first row that recognises a file has it.
FORMATS: dict[str, Format] = {
    "cloneofsimo LoRA": Format(_is_cloneofsimo, _cloneofsimo, _numbered_width),
    "kohya LoRA": Format(_is_kohya, _bundled(lora_keys.kohya), _named_width),
    "peft LoRA": Format(
        _any("base_model.model."), lambda f, b: ForeignWeights(lora_keys.peft(f, b)), _named_width
    ),
    "diffusers LoRA": Format(
        _any(".lora_A.", ".lora.down.", "_lora.down.", ".lora_linear_layer.down."),
        _bundled(lora_keys.by_name),
        _named_width,
    ),
    "diffusers Custom Diffusion": Format(_any("_custom_diffusion."), _custom, _network_width),
    "diffusers ControlNet": Format(
        _any("controlnet_cond_embedding.conv_in.weight"),
        lambda f, b: ForeignWeights(network=network_weights.control(f)),
        _network_width,
    ),
    "diffusers U-Net": Format(
        lambda f: {"conv_in.weight", "time_embedding.linear_1.weight"} <= f.tensors.keys(),
        lambda f, b: ForeignWeights(network=network_weights.whole(f, b)),
        _network_width,
    ),
    # diffusers' advanced DreamBooth script: the vectors of all its new words, which its prompts say
    # one after the other
    "pivotal tuning's textual inversion": Format(
        lambda f: list(f.tensors) == ["clip_l"], _one_word, _words_width
    ),
    "A1111 textual inversion": Format(
        lambda f: list(f.tensors) in (["string_to_param.*"], ["emb_params"]),
        _one_word,
        _words_width,
    ),
    "diffusers textual inversion": Format(_is_words, _words, _words_width),
}


def recognise(foreign: Foreign) -> str:
    """Name of the row of FORMATS that a file belongs to.

    Raises:
        AdapterError: It belongs to none; the message names the format where it is known.
    """
    for what, marks in REFUSED.items():
        if any(mark in key for key in foreign.tensors for mark in marks):
            raise AdapterError(
                f"{foreign.path} is {what}; latentdrift reads {_known()}, for "
                f"{' or '.join(row.title for row in FAMILIES.values())}"
            )
    name = next(
        (name for name, row in FORMATS.items() if foreign.tensors and row.recognise(foreign)), None
    )
    if name is None:
        holds = ", ".join(list(foreign.tensors)[:3]) or "no tensors"
        raise AdapterError(
            f"{foreign.path} is not an adapter that latentdrift knows (it holds {holds}); known: "
            f"{_known()}"
        )
    return name


def describe(foreign: Foreign, name: str) -> str:
    """Describe a file in words: `a kohya LoRA for prompts 768 wide, which fits Stable Diffusion
    1.x`.

    Args:
        foreign: The file.
        name: Row of FORMATS.
    """
    width = FORMATS[name].width(foreign)
    models = _models(width)
    fits = f", which fits {models}" if models else ""
    article = "an" if name[0] in "aA" else "a"
    return f"{article} {name}" + (f" for prompts {width} wide{fits}" if width else "")


def read(foreign: Foreign, base: Base) -> ForeignWeights:
    """Read a file of another tool, and check that it fits a base.

    Args:
        foreign: The file.
        base: Base that it must fit.

    Raises:
        AdapterError: Not a known format, or made for another base.
    """
    name = recognise(foreign)
    base.family.check_supported("format", name)
    own = base.family.text_width(base)
    width = FORMATS[name].width(foreign)
    if width not in (None, own):
        models = _models(own)
        fits = f" ({models})" if models else ""
        raise AdapterError(
            f"{foreign.path} is {describe(foreign, name)}; base '{base.name}' has prompts {own} "
            f"wide{fits}: give the base that it was made for with `base`"
        )
    adopted = FORMATS[name].read(foreign, base)
    adopted = replace(adopted, changes=lora.shaped(base, adopted.changes))
    reason = lora.misfit(base, adopted.changes)
    room = base.token_limit
    if reason:
        raise AdapterError(
            f"{foreign.path} is {describe(foreign, name)}, and does not fit base '{base.name}': "
            f"{reason}; give the base that it was made for with `base`"
        )
    for spelled, rows in adopted.words.items():
        if len(rows) > room:
            raise AdapterError(
                f"the word {spelled} in {foreign.path} has {len(rows)} vectors, and a prompt has "
                f"room for {room}"
            )
    return adopted


def _models(width: int | None) -> str | None:
    """The well-known models whose prompts have a width; None where there are none."""
    widths = dict(OTHER_WIDTHS)
    for row in FAMILIES.values():
        widths |= row.text_widths
    return None if width is None else widths.get(width)


def _known() -> str:
    return ", ".join(FORMATS)
