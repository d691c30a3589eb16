"""Options of the verbs that make adapters and hand them over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latentdrift.config.base import Count, DriftForm, DriftMode, Fraction, Options
from latentdrift.errors import unknown

# Name -> defaults of `fit`. ti-budget: the settings of de Wilde et al. 2024 (64 vectors, rate 0.005
# and constant, no decay,
# 50,000 steps for X-rays and pathology, 100,000 for prostate MRI), and where they are not known
# those of the web interface that
# they used (batch 1). Unlike there, latents are sampled anew at each step. ti-small is ours and no
# paper's.
PRESETS: dict[str, dict[str, Any]] = {
    "ti-budget": {
        "method": "textual-inversion",
        "vectors": 64,
        "learning_rate": 5e-3,
        "rate_schedule": "constant",
        "warm_up": 0,
        "batch_size": 1,
        "steps": 50_000,
        "prompt_style": "bare",
        "patient_info": False,
        "drift": "none",
    },
    "ti-small": {
        "method": "textual-inversion",
        "vectors": 16,
        "learning_rate": 5e-3,
        "rate_schedule": "cosine",
        "batch_size": 4,
        "steps": 3000,
        "prompt_style": "bare",
        "patient_info": False,
    },
}


class FitOptions(Options):
    """Adapt a base model to a cohort."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The run folder; its `adapter/` is the result. The same command again continues an interrupted
    run."""
    base: str = "pocket"
    """A named base, a local diffusers folder, or a hub id."""
    method: str = "lora"
    """Fine-tuning method."""
    preset: str | None = None
    """A row of PRESETS: other defaults for the options of a known setting."""
    start: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put into the base before it is trained."""
    drift: str = "calibrated"
    """`none`, one value (`0.1`), in sds of a latent mean (`6.4sd`), per channel (`a,b,c,d`), a
    result's file, `auto` for the closed form, or `calibrated`: the start that the finished fit's
    own pictures ask for."""
    drift_mode: DriftMode | None = None
    """Where drift acts, and how sampling starts; default: infer for auto and calibrated, both for a
    given value."""
    drift_form: DriftForm = "noise_mean"
    """How drift acts; all but the first are ablations (see docs/latent-drifting.md)."""
    drift_by: str | None = None
    """With `drift=auto` or `calibrated`: a category of the cohort, each of whose values gets a
    drift of its own."""
    noise: tuple[str, ...] = ()
    """Noise to train on, with strengths from 0 to 1: `offset=0.1`, `pyramid=0.8`,
    `input-perturbation=0.1`; a name alone takes the strength shown here. Default: plain."""
    prediction: Literal["epsilon", "v_prediction"] | None = None
    """What the network is trained to predict; default: what the base predicts."""
    zero_snr: bool = False
    """Train and sample from pure noise (zero terminal SNR), for networks that predict v."""
    steps: Count = 400
    """Optimiser steps."""
    batch_size: Count = 8
    """Images per forward pass, which are those of a step unless they accumulate; several processes
    share them."""
    accumulate: Count = 1
    """Forward passes per step: the gradient is that of so many times more images, the memory is
    that of one pass."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: the method's own (see docs/methods.md)."""
    rate_schedule: str = "cosine"
    """How the learning rate goes on after its warm-up; cosine and linear fall to 0."""
    warm_up: Annotated[int, Field(ge=0)] | None = None
    """Steps in which the learning rate rises to its full value; default: 20, at most a tenth of the
    run."""
    optimizer: str = "adamw"
    """Optimiser. adamw-8bit keeps a quarter of the state in memory and needs bitsandbytes."""
    min_snr: Annotated[float, Field(gt=0)] | None = None
    """Signal-to-noise ratio above which times count less (min-SNR; 5 is usual); default: all times
    count the same."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, which then is the adapter (0.999 is usual);
    default: the last weights."""
    patience: Count | None = None
    """Stop after this many checkpoints in a row without a lower held-out loss; the best one is the
    adapter. Default: never."""
    mask: str | None = None
    """Column of the cohort that names each training image's mask file: inside it the loss counts in
    full."""
    mask_outside: Fraction = 0.1
    """With `mask`: what the loss counts outside."""
    gradient_checkpointing: bool = False
    """Work the activations out a second time instead of keeping them: less memory, about a third
    more time, the same result."""
    rank: Count = 8
    """Rank of the LoRA matrices."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """The LoRA change is alpha / rank B A; default: the rank."""
    targets: str = "attention"
    """Layers that get LoRA matrices."""
    train_text_encoder: bool = False
    """Train the text encoder, too, by the same method (full, lora, dreambooth, dreambooth-lora)."""
    vectors: Annotated[int, Field(ge=1, le=64)] | None = None
    """Vectors of a new word; default: 8 in textual inversion, 1 in custom diffusion."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s{}]+>$")] = "<cohort>"
    """The new word that textual inversion and custom diffusion learn."""
    concept_by: str | None = None
    """A category of the cohort, each of whose values gets a new word of its own:
    `<cohort-dementia>`."""
    rare_word: Annotated[str, Field(pattern=r"^[^\s{}]+$")] = "sks"
    """The rare word that DreamBooth puts before what the pictures show."""
    prior_images: Annotated[int, Field(ge=0)] | None = None
    """Pictures of the class that the base draws and training keeps to (prior preservation);
    default: 100 in DreamBooth and custom diffusion, else 0."""
    prior_weight: Annotated[float, Field(gt=0)] = 1.0
    """What such a picture counts in the loss, against 1 of an image."""
    class_prompt: str | None = None
    """The prompt of these pictures; default: `a ` and what the cohort shows."""
    hint: str = "edges"
    """Input of a ControlNet: edges of the image, masks ("mask=COLUMN" of the cohort), or the
    earlier visit."""
    prompt_style: Literal["bare", "simple", "findings-first", "diverse"] = "simple"
    """The name alone, one sentence for all, the same with findings and diagnosis before all else,
    or one of many wordings per image."""
    patient_info: bool = True
    """Put age, sex and findings into the sentence."""
    age_encoding: Literal["numerical", "word", "decade"] = "numerical"
    """How an age is said: 77, seventy-seven, or 70 to 79."""
    negate_findings: bool = False
    """Say "no effusion" of findings that an image is known not to have; two per sentence, none
    where its findings are missing."""
    caption: str | None = None
    """Column of the cohort whose text is the prompt, such as a report; rows without one get the
    sentence."""
    instruction: Literal["numerical", "word", "binned"] | None = None
    """Wording of a pair of visits for instruct-pix2pix: the later age as a number or in words,
    or the gap; default: numerical."""
    caption_dropout: Fraction = 0.1
    """Share of steps with the empty prompt, which guidance needs."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the base's own."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    checkpoint_every: Count = 100
    """Steps between checkpoints."""
    preview_every: Annotated[int, Field(ge=0)] = 200
    """Steps between preview pictures, which critics of anatomy judge, as they do at the end; 0 for
    none of both."""
    tracker: str = "tensorboard"
    """Tracker that shows losses and previews."""
    seed: int = 0
    """Seed of everything random in the run."""

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, values: Any) -> Any:
        """What a preset says, where nothing else is said."""
        name = values.get("preset") if isinstance(values, dict) else None
        if name is None:
            return values
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        return {**PRESETS[name], **values}


class ExportOptions(Options):
    """Write an adapter as the files that other tools load."""

    adapter: str
    """An adapter or run folder."""
    to: str
    """Tool that loads the files."""
    out: Path
    """The folder to make."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained; only whole models
    need it."""


class AdoptOptions(Options):
    """Bring in an adapter of another tool: LoRA (kohya, diffusers, peft, cloneofsimo), textual
    inversion (diffusers, A1111), or diffusers' Custom Diffusion, ControlNet, InstructPix2Pix or
    fine-tuned U-Net."""

    file: Path
    """The file (.safetensors, .pt, .bin), or the folder that holds it. Pickles are checked, and
    only their weights are read."""
    base: str
    """The base that it was made for: a named base, a local diffusers folder, or a hub id."""
    out: Path
    """The run folder to make; its `adapter/` is the result."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s]+>$")] | None = None
    """The word of a textual inversion; default: the file's own, in angle brackets."""
    hint: Literal["edges", "earlier"] | None = None
    """What a ControlNet is shown, which `latentdrift generate --like` then makes; default:
    edges. `latentdrift generate --hint-image` takes any picture."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
