"""Options of the verbs that make, export and import adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latentdrift.config.base import Count, DriftForm, DriftMode, Duration, Fraction, Options
from latentdrift.errors import unknown

# Name -> defaults of `fit`.
# ti-budget: the settings of de Wilde et al. 2024 (64 vectors, constant rate 0.005, no decay, 50,000
# steps for X-rays and pathology, 100,000 for prostate MRI). Unknown settings are those of the web
# interface that they used (batch 1). Unlike there, latents are sampled anew at each step.
# ti-small: ours, from no paper.
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
    """Cohort folder."""
    out: Path
    """Run folder. Its `adapter/` is the result. The same command continues an interrupted run."""
    base: str = "pocket"
    """Base: a name, a local diffusers folder, or a Hugging Face Hub id."""
    method: str | None = None
    """Fine-tuning method; default: `full` for a base of up to 100 million weights, such as
    `pocket`; `lora` for a larger one, whose full training takes much memory, and beside `rank`,
    `alpha` or `targets`."""
    preset: str | None = None
    """Set of defaults for textual inversion. `ti-budget`: the settings of de Wilde et al. 2024,
    with 64 vectors, one image a step and 50,000 steps. `ti-small`: a shorter fit, with 16 vectors,
    4 images a step and 3,000 steps. Options that are given beside it win."""
    start: tuple[str, ...] = ()
    """Adapters that are applied to the base before training, `RUN` or `RUN=WEIGHT`."""
    drift: str = "calibrated"
    """Drift: `none`; a value in standard deviations of unit noise (`0.1`), of a latent channel's
    mean (`6.4sd`), or per channel (`a,b,c,d`); the file of an estimate or search; `auto`, the
    closed form; or `calibrated`, the start that the images of the finished fit measure.
    `calibrated` draws 32 images or more after the last step; `none` and `auto` draw none."""
    drift_mode: DriftMode | None = None
    """Stage in which drift acts, and start of sampling; default: `infer` for `auto` and
    `calibrated`, `both` for a value."""
    drift_form: DriftForm = "noise_mean"
    """Formula of the drift. All but `noise_mean` are ablations (see docs/latent-drifting.md)."""
    drift_by: str | None = None
    """With `drift=auto` or `calibrated`: categorical attribute of the cohort. Each value gets a
    drift of its own."""
    noise: tuple[str, ...] = ()
    """Training noise with its strength from 0 to 1: `offset=0.1`, `pyramid=0.8`,
    `input-perturbation=0.1`. A name alone takes the strength in this list. Default: Gaussian
    noise."""
    prediction: Literal["epsilon", "v_prediction"] | None = None
    """Prediction target of the network; default: that of the base."""
    zero_snr: bool = False
    """Train and sample from pure noise (zero terminal SNR). The network has to predict v."""
    steps: Count = 400
    """Number of optimiser steps."""
    budget: Duration | None = None
    """Time of the whole fit, in place of `steps`: `90s`, `10min`, `1h`. The number of steps follows
    from steps that are timed first. Checkpoints and previews are spread over it."""
    batch_size: Count = 8
    """Images per forward pass, over all processes. An optimiser step sees batch-size × accumulate
    images."""
    accumulate: Count = 1
    """Forward passes per optimiser step. Their gradients add up; memory stays that of one pass."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Learning rate, above 0; default: the method's (see docs/methods.md)."""
    rate_schedule: str = "cosine"
    """Learning rate schedule after warm-up. `cosine` and `linear` end at 0."""
    warm_up: Annotated[int, Field(ge=0)] | None = None
    """Steps in which the learning rate rises from 0; default: 20, at most a tenth of the run."""
    optimizer: str = "adamw"
    """Optimiser. `adamw-8bit` stores a quarter of the state and needs bitsandbytes."""
    min_snr: Annotated[float, Field(gt=0)] | None = None
    """Signal-to-noise ratio above which timesteps count less in the loss (min-SNR; 5 is usual);
    default: all timesteps count equally."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of the weights, between 0 and 1 (0.999 is usual). The
    average becomes the adapter. Default: the last weights."""
    patience: Count | None = None
    """Early stopping: checkpoints in a row without a lower held-out loss after which training
    stops. The best checkpoint becomes the adapter. Default: no early stopping."""
    mask: str | None = None
    """Column of the cohort with each training image's mask file. The loss counts fully inside the
    mask."""
    mask_outside: Fraction = 0.1
    """With `mask`: loss weight outside the mask, 0 to 1."""
    gradient_checkpointing: bool = False
    """Recompute activations instead of storing them. It needs less memory and about a third more
    time, and gives the same result."""
    rank: Count = 8
    """Rank of the LoRA matrices."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """LoRA scale alpha, above 0: the weight change is (alpha / rank) B A; default: the rank."""
    targets: str = "all"
    """Layers with LoRA matrices."""
    train_text_encoder: bool = False
    """Train the text encoder too, by the same method (full, lora, dreambooth, dreambooth-lora)."""
    vectors: Annotated[int, Field(ge=1, le=64)] | None = None
    """Embedding vectors of a new word, 1 to 64; default: 8 in textual inversion, 1 in custom
    diffusion."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s{}]+>$")] = "<cohort>"
    """New word that textual inversion and custom diffusion learn, in angle brackets."""
    concept_by: str | None = None
    """Categorical attribute of the cohort. Each value gets a new word of its own:
    `<cohort-dementia>`."""
    rare_word: Annotated[str, Field(pattern=r"^[^\s{}]+$")] = "sks"
    """Rare word that DreamBooth puts before the description of the images."""
    prior_images: Annotated[int, Field(ge=0)] | None = None
    """Number of class images for prior preservation, drawn by the base; default: 100 in DreamBooth
    and custom diffusion, else 0."""
    prior_weight: Annotated[float, Field(gt=0)] = 1.0
    """Loss weight of a class image, above 0. A training image has weight 1."""
    class_prompt: str | None = None
    """Prompt of the class images; default: `a ` and the description of the cohort."""
    hint: str = "edges"
    """Conditioning image of a ControlNet: edges of the image, mask=COLUMN of the cohort, or the
    earlier visit."""
    prompt_style: Literal["bare", "simple", "findings-first", "diverse"] = "simple"
    """Wording of prompts: the description alone, one sentence for all images, that sentence with
    findings and diagnosis first, or many wordings per image."""
    patient_info: bool = True
    """Put age, sex and findings into the prompt."""
    age_encoding: Literal["numerical", "word", "decade"] = "numerical"
    """Wording of ages: 77, seventy-seven, or 70 to 79."""
    negate_findings: bool = False
    """Name absent findings in the prompt ("no effusion"), at most 2 per prompt. An image without a
    findings entry gets none."""
    caption: str | None = None
    """Column of the cohort with the text of each prompt, such as a report. Rows without text get
    the sentence."""
    instruction: Literal["numerical", "word", "binned", "years", "volumes"] | None = None
    """For instruct-pix2pix: wording of a pair of visits, with the later age as a number or in
    words, or with the time between visits in a word; default: numerical. `years`: the network
    reads the years between the visits as a number. `volumes`: of brains also the change of the
    volumes of ventricles and fluid, which `edit` predicts."""
    change_weight: Fraction | None = None
    """For instruct-pix2pix: share of the loss that counts where the two visits differ, 0 to 1; the
    rest counts everywhere. Default: 0.5."""
    caption_dropout: Fraction = 0.1
    """Share of training examples with the empty prompt, which guidance needs, 0 to 1."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Resolution in pixels on a side, a multiple of 8 from 32; default: the base's."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    checkpoint_every: Count = 100
    """Optimiser steps between checkpoints."""
    preview_every: Annotated[int, Field(ge=0)] = 200
    """Steps between preview images. Critics of anatomy judge them, and 16 images after the last
    step. 0: neither previews nor last images nor critics, which saves minutes."""
    tracker: str = "tensorboard"
    """Tracker of losses and previews."""
    seed: int = 0
    """Seed of all random numbers of the run."""

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, values: Any) -> Any:
        """Fill in the defaults of a preset."""
        name = values.get("preset") if isinstance(values, dict) else None
        if name is None:
            return values
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        preset = dict(PRESETS[name])
        if values.get("budget") is not None:
            preset.pop("steps")
        return {**preset, **values}


class ExportOptions(Options):
    """Write an adapter as the files that other tools load."""

    adapter: str
    """Adapter or run folder."""
    to: str
    """Tool whose files are written."""
    out: Path
    """Folder to make."""
    base: str | None = None
    """Place of the adapter's base on this machine; default: its place at the fit. Only whole models
    need it."""


class AdoptOptions(Options):
    """Import an adapter of another tool: LoRA (kohya, diffusers, peft, cloneofsimo), textual
    inversion (diffusers, A1111), or Custom Diffusion, ControlNet, InstructPix2Pix or a fine-tuned
    U-Net of diffusers."""

    file: Path
    """File (.safetensors, .pt, .bin), or the folder that holds it. Of a pickle, only checked
    weights are read."""
    base: str
    """Base of the adapter: a name, a local diffusers folder, or a Hugging Face Hub id."""
    out: Path
    """Run folder to make. Its `adapter/` is the result."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s]+>$")] | None = None
    """Word of a textual inversion, in angle brackets; default: the word in the file."""
    hint: Literal["edges", "earlier"] | None = None
    """Conditioning image of a ControlNet, which `latentdrift generate --like` makes; default:
    edges. With `hint_image`, generate and edit take any image."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
