"""One frozen model per verb: the only place where a default lives.

The command line, the YAML form (`--config`), the docs table and the record of a run are all derived from these classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from latentdrift.errors import unknown

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Split = Literal["train", "validation", "test"]
Start = Literal["infer", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftMode = Literal["infer", "train", "both", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftForm = Literal["noise_mean", "target_unshifted", "per_step", "per_step_scaled", "prediction"]


class Options(BaseModel):
    """What a verb was asked to do; unknown names are refused, nothing changes after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ImportOptions(Options):
    """Read scans and a table into a cohort: pixels, attributes, patient-wise splits, nothing that identifies anyone."""

    source: Path
    """Folder (or file) with PNG, JPEG, TIFF, DICOM or NIfTI images."""
    out: Path
    """The cohort folder to make; it appears whole or not at all."""
    table: Path | None = None
    """CSV, TSV or Excel table with one row per image, visit or patient."""
    map: Path | None = None
    """YAML file from the table's columns to ours."""
    preset: str | None = None
    """A known public data set or layout: oasis2, nih-chestxray14, imagefolder."""
    describe: str | None = None
    """What the pictures show, as it should stand in a prompt, e.g. "brain MRI"."""
    keep: tuple[str, ...] = ()
    """Header fields or table columns to keep by name, beyond the allow-list."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice taken from a 3-D volume."""
    position: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?(%|mm)?$")] = "50%"
    """Where the slice lies in the volume: percent of its extent, millimetres in RAS, or a voxel index."""
    slab: Annotated[float, Field(ge=0)] = 0.0
    """Thickness in mm over which slices are averaged; 0 takes one slice."""
    window: str | None = None
    """Intensities kept: `voi` (the header's), `full`, `LOW,HIGH`, or percentiles `p1,p99`; default: the header's, else full."""
    split: tuple[Fraction, Fraction, Fraction] = (0.70, 0.15, 0.15)
    """Shares of patients in train, validation and test."""
    stratify: str | None = None
    """Attribute whose shares the splits keep where they can; default: the first category."""
    seed: int = 0
    """Seed of the split."""
    salt: str | None = None
    """Secret for the patients' pseudonyms; default: a fresh random one, stored beside the mapping."""
    workers: Count = 2
    """Images read at a time."""


class InspectOptions(Options):
    """Look at a cohort before training: counts, ages, visits, intensities, leaks between splits."""

    cohort: Path
    """A cohort folder."""
    out: Path | None = None
    """Folder for `inspect.html` and `inspect.json`; default: `<cohort>-inspect`."""


# Name -> defaults of `fit`. ti-budget: the settings of de Wilde et al. 2024 (64 vectors, rate 0.005 and constant, no decay,
# 50,000 steps for X-rays and pathology, 100,000 for prostate MRI), and where they are not known those of the web interface that
# they used (batch 1). Unlike there, latents are sampled anew at each step. ti-small is ours and no paper's.
PRESETS: dict[str, dict[str, Any]] = {
    "ti-budget": {
        "method": "textual-inversion", "vectors": 64, "learning_rate": 5e-3, "rate_schedule": "constant", "warm_up": 0,
        "batch_size": 1, "steps": 50_000, "prompt_style": "bare", "patient_info": False, "drift": "none",
    },
    "ti-small": {
        "method": "textual-inversion", "vectors": 16, "learning_rate": 5e-3, "rate_schedule": "cosine",
        "batch_size": 4, "steps": 3000, "prompt_style": "bare", "patient_info": False,
    },
}  # fmt: skip


class FitOptions(Options):
    """Adapt a base model to a cohort."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The run folder; its `adapter/` is the result. The same command again continues an interrupted run."""
    base: str = "pocket"
    """A named base, a local diffusers folder, or a hub id."""
    method: str = "lora"
    """A row of METHODS: full, lora, textual-inversion, custom-diffusion, dreambooth, dreambooth-lora, controlnet,
    instruct-pix2pix."""
    preset: str | None = None
    """A row of PRESETS, which gives the options below other defaults: ti-budget, ti-small."""
    start: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put into the base before it is trained."""
    drift: str = "calibrated"
    """`none`, one value (`0.1`), in sds of a latent mean (`6.4sd`), per channel (`a,b,c,d`), a result's file, `auto` for the
    closed form, or `calibrated`: the start that the finished fit's own pictures ask for."""
    drift_mode: DriftMode | None = None
    """Where drift acts, and how sampling starts; default: infer for auto and calibrated, both for a given value."""
    drift_form: DriftForm = "noise_mean"
    """How drift acts; all but the first are ablations (see docs/latent-drifting.md)."""
    drift_by: str | None = None
    """With `--drift auto` or `calibrated`: a category of the cohort, each of whose values gets a drift of its own."""
    noise: tuple[str, ...] = ()
    """Noise to train on, rows of NOISES with their strengths from 0 to 1: `offset=0.1`, `pyramid=0.8`, `input-perturbation=0.1`;
    a name alone takes the strength shown here. Default: plain."""
    prediction: Literal["epsilon", "v_prediction"] | None = None
    """What the network is trained to predict; default: what the base predicts."""
    zero_snr: bool = False
    """Train and sample from pure noise (zero terminal SNR), for networks that predict v."""
    steps: Count = 400
    """Optimiser steps."""
    batch_size: Count = 8
    """Images per forward pass, which are those of a step unless they accumulate; several processes share them."""
    accumulate: Count = 1
    """Forward passes per step: the gradient is that of `accumulate` times as many images, the memory is not."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: the method's own (see docs/methods.md)."""
    rate_schedule: str = "cosine"
    """How the learning rate goes on after its warm-up, a row of SCHEDULES: constant, or cosine or linear down to 0."""
    warm_up: Annotated[int, Field(ge=0)] | None = None
    """Steps in which the learning rate rises to its full value; default: 20, at most a tenth of the run."""
    optimizer: str = "adamw"
    """A row of OPTIMIZERS: adamw, or adamw-8bit, which keeps a quarter of the state and needs bitsandbytes."""
    min_snr: Annotated[float, Field(gt=0)] | None = None
    """Signal-to-noise ratio above which times count less (min-SNR; 5 is usual); default: all times count the same."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, which then is the adapter (0.999 is usual); default: the last weights."""
    patience: Count | None = None
    """Stop after this many checkpoints in a row without a lower held-out loss; the best one is the adapter. Default: never."""
    mask: str | None = None
    """Column of the cohort that names each training image's mask file: inside it the loss counts in full."""
    mask_outside: Fraction = 0.1
    """With `--mask`: what the loss counts outside."""
    gradient_checkpointing: bool = False
    """Work the activations out a second time instead of keeping them: less memory, about a third more time, the same result."""
    rank: Count = 8
    """Rank of the LoRA matrices."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """The LoRA change is alpha / rank B A; default: the rank."""
    targets: str = "attention"
    """Where LoRA matrices stand, a row of TARGETS: attention, cross-attention, attention-mlp, all."""
    train_text_encoder: bool = False
    """Train the text encoder, too, by the same method (full, lora, dreambooth, dreambooth-lora)."""
    vectors: Annotated[int, Field(ge=1, le=64)] | None = None
    """Vectors of a new word; default: 8 in textual inversion, 1 in custom diffusion."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s{}]+>$")] = "<cohort>"
    """The new word that textual inversion and custom diffusion learn."""
    concept_by: str | None = None
    """A category of the cohort, each of whose values gets a new word of its own: `<cohort-dementia>`."""
    rare_word: Annotated[str, Field(pattern=r"^[^\s{}]+$")] = "sks"
    """The rare word that DreamBooth puts before what the pictures show."""
    prior_images: Annotated[int, Field(ge=0)] | None = None
    """Pictures of the class that the base draws and training keeps to (prior preservation); default: 100 in DreamBooth and
    custom diffusion, else 0."""
    prior_weight: Annotated[float, Field(gt=0)] = 1.0
    """What such a picture counts in the loss, against 1 of an image."""
    class_prompt: str | None = None
    """The prompt of these pictures; default: `a ` and what the cohort shows."""
    hint: str = "edges"
    """What a ControlNet is shown, a row of HINTS: edges of the image, `mask=COLUMN` of the cohort, or the earlier visit."""
    prompt_style: Literal["bare", "simple", "diverse"] = "simple"
    """The name alone, one sentence for all, or one of many wordings per image."""
    patient_info: bool = True
    """Put age, sex and findings into the sentence."""
    age_encoding: Literal["numerical", "word", "decade"] = "numerical"
    """How an age is said: 77, seventy-seven, or 70 to 79."""
    negate_findings: bool = False
    """Say "no effusion" of findings that an image is known not to have; two per sentence, none where its findings are missing."""
    caption: str | None = None
    """Column of the cohort whose text is the prompt, such as a report; rows without one get the sentence."""
    instruction: Literal["numerical", "word", "binned"] | None = None
    """How a pair of visits is worded, a row of INSTRUCTIONS: the later age as a number or in words, or the gap; default:
    numerical. For instruct-pix2pix."""
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
    """Steps between preview pictures; 0 for none."""
    tracker: str = "tensorboard"
    """A row of TRACKERS, where losses and previews are shown: tensorboard, mlflow, wandb, or none."""
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


class GenerateOptions(Options):
    """Make synthetic images."""

    adapter: str
    """An adapter or run folder, or a base (a name, folder or hub id) to sample it as it is."""
    out: Path
    """The folder to make: a cohort, so it can be evaluated, imported and trained on."""
    also: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put on top, see docs/methods.md."""
    prompt: tuple[str, ...] = ()
    """Prompts; image i follows prompt i modulo their number."""
    compose: tuple[str, ...] = ()
    """Conditions in one picture, `effusion:0.5 pneumonia:0.5`: findings, `name=value` or prompts, with weights that may be
    negative. The same in a prompt: `one:0.5 AND other:0.5`."""
    interpolate: tuple[str, ...] = ()
    """Two conditions; the images go from the first to the second in equal steps, with the same noise."""
    same_noise: bool = False
    """All images have the noise of the first, and differ by their prompts alone."""
    like: Path | None = None
    """A cohort whose attribute table the images follow."""
    split: Split | None = None
    """With `--like`: only the rows of this split."""
    hint_image: tuple[Path, ...] = ()
    """Hints that all images are drawn from, a picture for each ControlNet in the stack's order; default: those of `--like`."""
    gate: Path | None = None
    """The cohort that the adapter was trained on: copies of its training images are held back, see docs/privacy.md."""
    n: Count = 16
    """Number of images."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    rescale: Fraction = 0.0
    """Share of guidance rescale, which keeps high weights from raising the contrast; 0 is none, 0.7 is usual."""
    sampler: str = "ddim"
    """A row of SAMPLERS."""
    drift: str | None = None
    """Drift of the start: `none`, a value, `auto` for the closed form, `calibrated` if the adapter is, or a result's file;
    default: what the adapter stores."""
    drift_mode: Start | None = None
    """How sampling starts; default: as the adapter stores."""
    drift_form: DriftForm | None = None
    """How drift acts, for ablations; default: as the adapter stores."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the adapter's own."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Image i of a seed is the same picture whatever else is drawn beside it."""


class EditOptions(Options):
    """Change one thing about a patient's image, and nothing else."""

    adapter: str
    """An adapter or run folder, or a base."""
    source: Path
    """An image (PNG, DICOM, NIfTI) or a cohort."""
    out: Path
    """The folder to make, one sub-folder per image."""
    also: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put on top, see docs/methods.md."""
    set: tuple[str, ...] = ()
    """Attributes of the counterfactual, `name=value`; may be repeated."""
    add: tuple[str, ...] = ()
    """Findings that the counterfactual has and the source has not; may be repeated."""
    remove: tuple[str, ...] = ()
    """Findings that the counterfactual has no longer; may be repeated."""
    age: str | None = None
    """Years from each image's own age: `+10` or `-5`."""
    grid: tuple[str, ...] = ()
    """Values that are tried in turn, a counterfactual for each and all of them in one picture: `age=60:90:5` (both ends
    included), `age=+5,+10`, `diagnosis=dementia,no dementia`; of several, every combination."""
    animate: Literal["none", "gif", "mp4"] = "none"
    """With --grid: the counterfactuals of each image in turn, as a moving picture; mp4 needs imageio-ffmpeg."""
    given: tuple[str, ...] = ()
    """Attributes of the source image where no table says them, `name=value`; may be repeated."""
    editor: str | None = None
    """A row of EDITORS: sdedit, ddim, prompt-to-prompt, null-text, pix2pix-zero, edit-friendly, ledits, inpaint, diffedit,
    instruct-pix2pix; default: instruct-pix2pix for its own adapters, else ddim. See docs/counterfactuals.md."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    """How far back towards noise the edit goes; instruct-pix2pix always draws from noise, and takes none."""
    steps: Count = 50
    """Steps of the full trajectory."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the changed prompt, or of the instruction; 1 is none."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image; 1 is none."""
    inversion: str | None = None
    """How the image is inverted, a row of INVERSIONS: ddim, negative-prompt, null-text, regularised, edit-friendly; default: the
    editor's own."""
    inversions: Path | None = None
    """Folder in which inversions are kept and found again, as private as the images; default: `cache` in --out."""
    mask: Path | None = None
    """Where the image may change: a picture of its rows and columns (or a volume with the same slices), 0 outside, where every
    pixel stays."""
    protect: Path | None = None
    """Where the image may not change: the same, 0 where it may. With --mask, what is in the mask and not protected may."""
    mask_edge: Annotated[float, Field(ge=0)] = 2.0
    """With --mask or --protect: pixels inside the edge over which the change sets in."""
    mask_threshold: Fraction = 0.5
    """With diffedit: share of the largest difference between the prompts' noise from which on a place may change."""
    cross_share: Fraction = 0.8
    """With prompt-to-prompt and null-text: share of the steps in which words keep the attention they had in the source."""
    self_share: Fraction = 0.4
    """With prompt-to-prompt and null-text: the same for the attention of the picture to itself."""
    exchange: Literal["replace", "refine"] = "replace"
    """With prompt-to-prompt and null-text: whether a word in another's place takes over its attention, or has its own."""
    emphasis: tuple[str, ...] = ()
    """With prompt-to-prompt and null-text: `WORD=FACTOR`, what the attention to a word of the changed prompt is multiplied by."""
    local_blend: bool = False
    """With prompt-to-prompt and null-text: change nothing where the words that differ are not looked at."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: wordings of each state, between whose means the direction of the edit leads."""
    attention_weight: Annotated[float, Field(ge=0)] = 0.1
    """With pix2pix-zero: size of the steps that keep the cross-attention."""
    focus: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """With ledits: share of the picture that each change leaves alone."""
    split: Split | None = None
    """Of a cohort: only this split."""
    limit: Count | None = None
    """Of a cohort: at most this many images."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice, where the source is a 3-D volume."""
    position: str = "50%"
    """Position of the slice, where the source is a 3-D volume."""
    window: str | None = None
    """Intensity range that maps to [-1, 1]; default: the header's, else that of the cohort the adapter saw."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the editor's noise."""
    seeds: Count = 1
    """With editors that draw noise: so many counterfactuals, with this seed and the next ones; the first is the counterfactual,
    and all give a mean and an uncertainty."""


class EvaluateOptions(Options):
    """Judge synthetic images against real ones: fidelity, coverage, copies; each number with its interval and floor."""

    real: Path
    """A cohort of real images."""
    synthetic: Path
    """A folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder for `report.json` and `report.html`."""
    features: tuple[str, ...] = ("pocket",)
    """Rows of FEATURES, optionally `name=PATH` for local weights, or a Hugging Face vision model's folder or id."""
    split: Split | None = "test"
    """Which real images are the reference; the train split is where copies are looked for."""
    by: str | None = None
    """An attribute of both sets: every distance is also given for each of its values (findings one by one, age by decades)."""
    compare: tuple[Path, ...] = ()
    """Further synthetic sets, judged against the same real images and shown side by side."""
    cache: Path | None = None
    """Folder where features are kept, which come from patients' images; default: `cache` in --out."""
    edits: Path | None = None
    """A folder that `edit` made, shown and scored in the report."""
    utility: str | None = None
    """A class, e.g. `findings=Effusion`, that classifiers learn from the first synthetic set, from real images, and from both."""
    alignment: bool = False
    """Judge whether the first synthetic set shows what its table says, by classifiers that learn it from real images."""
    card: bool = True
    """With --edits: judge by the same classifiers whether edits did what was asked for, and nothing else."""
    classifier: str = "small"
    """What classifiers are made of: `small`, or the folder or id of a Hugging Face vision model (`timm/...` needs timm)."""
    classifier_steps: Count = 200
    """Optimiser steps of each classifier, whatever it learns from."""
    classifier_seeds: Count = 3
    """Seeds that each classifier is trained with."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Resamples of patients behind each interval."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of subsets and resamples."""


class ReaderMakeOptions(Options):
    """Make a blinded reader study: real and synthetic images, shuffled, as one page whose answers are saved as a CSV file."""

    real: Path
    """A cohort of real images, of which each patient is shown once at the most."""
    synthetic: Path
    """A folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder for `study.html`, which is what readers get."""
    key: Path | None = None
    """File for the key, which readers do not get; default: `<out>-key.json` beside the folder."""
    n: Count = 50
    """Images of each kind."""
    split: Split | None = "test"
    """Which real images."""
    by: str | None = None
    """An attribute of both: the synthetic images get its values as often as the real ones, and answers are counted for each."""
    seed: int = 0
    """Seed of the choice and of the order."""


class ReaderScoreOptions(Options):
    """Score the answers of a reader study: accuracy with its interval, kappa with the truth and between readers, per class."""

    answers: tuple[Path, ...]
    """CSV files that the page saved, one for each reader."""
    key: Path
    """The key that `reader make` wrote."""
    out: Path
    """File for the result, JSON."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of images behind the intervals of kappa."""
    seed: int = 0
    """Seed of the resamples."""


class AuditOptions(Options):
    """Ask whether an adapter's loss betrays whom it was trained on (membership inference)."""

    adapter: str
    """An adapter or run folder."""
    cohort: Path
    """The cohort that it was trained on: patients of the train split are looked for among the others."""
    out: Path
    """Folder for `audit.json` and `audit.html`."""
    draws: Annotated[int, Field(ge=4)] = 24
    """Times of the schedule, each with noise of its own, at which every image's loss is taken."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the noise and of the resamples."""


class DriftOptions(Options):
    """What the verbs of drift share: a cohort, the model that is asked about it, how its pictures are drawn."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The folder for what is found; the same command again goes on where it was interrupted."""
    adapter: str = "pocket"
    """An adapter or run folder that is asked instead of a base."""
    base: str | None = None
    """The base that is asked: a name, folder or hub id; beside `--adapter`, where the adapter's base lies on this machine."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    sampler: str = "ddim"
    """A row of SAMPLERS."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the model's own."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the images and of the resamples."""

    @model_validator(mode="before")
    @classmethod
    def _base_alone(cls, values: Any) -> Any:
        """`--base B` without an adapter is the model that is asked."""
        if isinstance(values, dict) and values.get("base") and "adapter" not in values:
            return {**values, "adapter": values["base"], "base": None}
        return values


class DriftEstimateOptions(DriftOptions):
    """Find the mean that the starts of sampling lack, in closed form, and how much of a start's mean the model copies."""

    copy_slope: bool = True
    """Draw images to see whether the model copies a start's mean at all."""
    n: Annotated[int, Field(ge=3)] = 32
    """Images drawn for the copy slope."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""


class DriftSearchOptions(DriftOptions):
    """Try drifts: pictures for every value of a grid against the validation split, by L1 distances."""

    grid: str = "-0.2,-0.1,-0.05,0,0.05,0.1,0.2"
    """Values of delta in sd of unit noise, or in sds of a channel's mean (`3.2sd`); 0 is always among them."""
    stage: Literal["infer", "train"] = "infer"
    """`infer` drifts the start of the model as it is; `train` makes a short fit per value from `--base`."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per value."""
    method: str = "lora"
    """With `--stage train`: a row of METHODS."""
    fit_steps: Count = 200
    """With `--stage train`: optimiser steps of each fit."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """With `--stage train`: default, the method's own."""
    rank: Count = 8
    """With `--stage train`: rank of the LoRA matrices."""
    workers: Count = 1
    """Processes, each with a model of its own; give each its share of the cores with OMP_NUM_THREADS. Results do not change."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Resamples of patients and images behind each interval."""


class BenchOptions(Options):
    """What the benches share: methods x variants x seeds at one budget, judged on the test split."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The folder for fits and results; the same command again goes on where it was interrupted."""
    base: str = "pocket"
    """A named base, a local diffusers folder, or a hub id."""
    methods: tuple[str, ...]
    """Rows of METHODS."""
    variants: tuple[str, ...]
    """Rows of the bench's table."""
    delta: str = "0.1"
    """The scalar drift, in sd of unit noise or in sds of a channel's mean (`6.4sd`)."""
    seeds: Count = 3
    """Fits per method, from `--seed` on."""
    fit_steps: Count = 400
    """Optimiser steps of each fit."""
    fit_batch_size: Count = 8
    """Images per step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: each method's own."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per variant."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    sampler: str = "ddim"
    """A row of SAMPLERS."""
    features: tuple[str, ...] = ("pocket",)
    """Rows of FEATURES, optionally `name=PATH` for local weights, or a Hugging Face vision model's folder or id."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the base's own."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""
    workers: Count = 1
    """Processes, each with a model of its own; give each its share of the cores with OMP_NUM_THREADS. Results do not change."""
    bootstrap: Annotated[int, Field(ge=10)] = 100
    """Resamples of patients and images behind each run's interval."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """The first seed."""


class BenchDriftOptions(BenchOptions):
    """Drift in every mode beside its rivals: methods x variants x seeds at one budget, judged on the test split."""

    methods: tuple[str, ...] = ("full", "lora", "textual-inversion")
    """Rows of METHODS."""
    variants: tuple[str, ...] = (
        "none", "infer", "calibrated", "closed-form", "pin", "pin-sample", "pin-zero", "search", "leak-pixel", "leak-low",
        "per-step-scaled", "both", "train", "both-closed-form", "offset", "offset+calibrated", "offset+pin", "pyramid",
        "input-perturbation", "zero-snr",
    )  # fmt: skip
    """Rows of VARIANTS."""


class BenchTable1Options(BenchOptions):
    """The paper's table 1 on a cohort: methods without and with drift, by distances and by what a classifier learns from them."""

    methods: tuple[str, ...] = ("custom-diffusion", "dreambooth", "textual-inversion", "full", "lora")
    """Rows of METHODS."""
    variants: tuple[str, ...] = ("none", "drift", "calibrated", "real+synthetic", "base", "real")
    """Without and with drift, and with the start that the fit without drift asks for; a classifier's real images replaced by
    synthetic ones to a half; the base as it is; real images."""
    by: str | None = None
    """What the classifier tells apart: a category of two values, or `attribute=value` against the rest, such as
    `diagnosis=dementia` or `findings=Effusion`; default: the first category that has exactly two values."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`); `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant, half of each class; they are compared with real ones, and the classifier learns from them."""
    classifier_steps: Count = 400
    """Optimiser steps of each classifier, whatever it learns from."""


class BenchTable3Options(BenchOptions):
    """The paper's table 3 on a cohort: simple and diverse prompts, without and with the patient's information, with drift."""

    methods: tuple[str, ...] = ("full",)
    """Rows of METHODS."""
    variants: tuple[str, ...] = ("simple", "simple+info", "diverse", "diverse+info")
    """How prompts are worded in training and sampling."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`); `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant."""


class BenchEditorsOptions(Options):
    """Every editor on edits whose right answer is known: phantoms, or patients who came again; beside doing nothing."""

    adapter: str
    """An adapter or run folder that knows the attributes that change."""
    out: Path
    """The folder for results; the same command again goes on where it was interrupted."""
    cohort: Path | None = None
    """A cohort whose patients came twice: the first visit is changed into what its table says of the last."""
    phantom: Literal["brain", "chest"] | None = None
    """Instead of a cohort: phantoms, whose true counterfactual can be drawn."""
    also: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put on top."""
    editors: tuple[str, ...] = ()
    """Rows of EDITORS; default: all that this network can be edited by without a mask."""
    split: Split = "test"
    """Whose patients are edited."""
    n: Count = 24
    """Edits, at most."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    """How far back towards noise the edit goes."""
    steps: Count = 50
    """Steps of the full trajectory."""
    guidance: Annotated[float, Field(ge=0)] = 5.0
    """Guidance weight of the changed prompt, or of the instruction; 1 is none."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image; 1 is none."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: wordings of each state."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Of phantoms and of everything random in an edit."""


class PhantomOptions(Options):
    """Write a folder of phantom scans with their table: a data set whose true counterfactuals are known."""

    out: Path
    """The folder to make."""
    kind: Literal["brain", "chest"] = "brain"
    """Longitudinal brain MRI (NIfTI) or frontal chest X-ray (16-bit PNG)."""
    patients: Count = 60
    """Number of patients."""
    visits: Count = 2
    """Visits per patient."""
    size: Annotated[int, Field(ge=64)] = 128
    """Pixels on a side."""
    seed: int = 0
    """Seed of the anatomy."""


class ExportOptions(Options):
    """Write an adapter as the files that other tools load."""

    adapter: str
    """An adapter or run folder."""
    to: str
    """A row of EXPORTS: diffusers, a1111, kohya."""
    out: Path
    """The folder to make."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained; only whole models need it."""


class AdoptOptions(Options):
    """Bring in an adapter of another tool: LoRA (kohya, diffusers, peft, cloneofsimo) or textual inversion (diffusers, A1111)."""

    file: Path
    """The file (.safetensors, .pt, .bin), or the folder that holds it. Pickles are checked, and only their weights are read."""
    base: str
    """The base that it was made for: a named base, a local diffusers folder, or a hub id."""
    out: Path
    """The run folder to make; its `adapter/` is the result."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s]+>$")] | None = None
    """The word of a textual inversion; default: the file's own, in angle brackets."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""


class ReplayOptions(Options):
    """Run a record again and compare what comes out."""

    record: Path
    """The `record.json` of an earlier run."""
    out: Path
    """Where the repeated output goes."""


class DemoOptions(Options):
    """The whole job on the embedded base and a phantom cohort, in a few minutes."""

    out: Path = Path("demo")
    """Folder for everything the demo makes."""
    seed: int = 0
    """Seed of the demo."""
