"""Options of the verbs that draw and edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from latentdrift.config.base import (
    Count,
    DriftForm,
    Fraction,
    Position,
    Split,
    Start,
    WorkerOptions,
)


class GenerateOptions(WorkerOptions):
    """Make synthetic images."""

    adapter: str
    """Adapter or run folder, or an unadapted base (a name, folder or Hub id)."""
    out: Path
    """Folder to make. It is a cohort, which can be evaluated, imported and trained on."""
    also: tuple[str, ...] = ()
    """Further adapters to apply, `RUN` or `RUN=WEIGHT` (see docs/methods.md)."""
    prompt: tuple[str, ...] = ()
    """Prompts. Image i takes prompt i modulo their number."""
    compose: tuple[str, ...] = ()
    """Conditions of one image, with weights that may be negative: `effusion:0.5 pneumonia:0.5`. A
    condition is a finding, `name=value` or a prompt. In a prompt: `one:0.5 AND other:0.5`."""
    interpolate: tuple[str, ...] = ()
    """Two conditions. Images go from the first to the second in equal steps, with the same
    noise."""
    same_noise: bool = False
    """Give all images the noise of the first, so that only their prompts differ."""
    like: Path | None = None
    """Cohort whose attribute table the images follow."""
    split: Split | None = None
    """With `like`: split of the rows; default: all splits."""
    hint_image: tuple[Path, ...] = ()
    """Conditioning images of all samples, one file for each ControlNet in the order of the
    adapters; default: made from `like`."""
    gate: Path | Literal[False] | None = None
    """Cohort of the adapter's training images. Copies of them are held back (see docs/privacy.md).
    Default: that cohort, where it is still in its place; `gate=False` turns the copy filter off."""
    n: Count = 16
    """Number of images."""
    steps: Count = 25
    """Number of sampling steps. More steps did not lower KID measurably (see docs/sampling.md)."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight, at least 0; 1: no guidance."""
    guidance_interval: tuple[float, float] | None = None
    """Two noise levels, the standard deviation of the noise in units of the image's. Guidance acts
    between them alone (Kynkäänniemi et al. 2024), and steps outside cost half; default: at all
    levels."""
    step_cache: Count = 1
    """Steps for which the deep layers of the U-Net are computed once (DeepCache; Ma et al. 2024).
    More take less time and change images (see docs/sampling.md); 1: each step computes them."""
    rescale: Fraction = 0.0
    """Guidance rescale, 0 to 1, against raised contrast at high guidance weights; 0: none, 0.7 is
    usual."""
    sampler: str = "ddim"
    """Sampler."""
    drift: str | None = None
    """Drift of the start: `none`, a value, `auto` for the closed form, `calibrated` if the adapter
    is, or the file of an estimate or search; default: the adapter's."""
    drift_mode: Start | None = None
    """Start of sampling; default: the adapter's."""
    drift_form: DriftForm | None = None
    """Formula of the drift, for ablations; default: the adapter's."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Resolution in pixels on a side, a multiple of 8 from 32; default: the adapter's."""
    depth: Annotated[int, Field(ge=8, le=16, multiple_of=8)] | None = None
    """Bits per pixel of grey images, 8 or 16; default: those of the adapter's cohort."""
    format: Literal["png", "dicom", "nifti"] = "png"
    """Format written beside the PNG files, in a folder of that name: synthetic DICOM objects or
    NIfTI files, labelled as such."""
    batch_size: Count = 4
    """Images drawn at a time, in whole groups of `slots`. The number changes memory and speed,
    never an image."""
    slots: Literal[1, 2, 4] | None = None
    """Images per call of the network. Processors round by this number, so it belongs to an image
    as the seed does; default: 1 for a network of 100 million weights or more on a processor,
    else 4."""
    base: str | None = None
    """Place of the adapter's base on this machine; default: its place at the fit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed. Image i of a seed does not depend on the number of images."""

    @field_validator("slots", mode="before")
    @classmethod
    def _read_slots(cls, slots: object) -> object:
        """Take a number from text, as the command line gives it."""
        return int(slots) if isinstance(slots, str) and slots.isdecimal() else slots

    @field_validator("guidance_interval")
    @classmethod
    def _check_interval(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        """Check that an interval goes from a low noise level to a higher one."""
        if interval and not 0 <= interval[0] < interval[1]:
            low, high = interval
            raise ValueError(
                f"the guidance interval goes from {low:g} to {high:g}; give a noise level of at "
                "least 0, then a higher one"
            )
        return interval


class EditOptions(WorkerOptions):
    """Make counterfactuals: change one attribute of a patient's image, and nothing else."""

    adapter: str
    """Adapter or run folder. A change of attributes needs an adapter that `fit` made; a base alone
    knows none, and draws from prompts with `generate`."""
    source: Path
    """Image (PNG, DICOM, NIfTI) or cohort."""
    out: Path
    """Folder to make, with one subfolder per image."""
    also: tuple[str, ...] = ()
    """Further adapters to apply, `RUN` or `RUN=WEIGHT` (see docs/methods.md)."""
    set: tuple[str, ...] = ()
    """Attributes of the counterfactual, `name=value`; repeatable."""
    add: tuple[str, ...] = ()
    """Findings to add; repeatable."""
    remove: tuple[str, ...] = ()
    """Findings to remove; repeatable."""
    age: str | None = None
    """Change of each image's age in years: `+10` or `-5`."""
    grid: tuple[str, ...] = ()
    """Values of attributes, each of which gives a counterfactual and a place on a contact sheet:
    "age=60:90:5" (both ends included), "age=+5,+10", "diagnosis=dementia,no dementia". Several
    attributes give all combinations."""
    animate: Literal["none", "gif", "mp4"] = "none"
    """With `grid`: format of an animation of each image's counterfactuals. mp4 needs
    imageio-ffmpeg."""
    given: tuple[str, ...] = ()
    """Attributes of a source image without a table, `name=value`; repeatable."""
    editor: str | None = None
    """Editor (see docs/counterfactuals.md); default: instruct-pix2pix for its own adapters,
    controlnet where there is a ControlNet, else ddim."""
    hint_image: tuple[Path, ...] = ()
    """Conditioning images of all edits, one file for each ControlNet in the order of the adapters,
    or for each ControlNet of masks; default: made from each image, and masks from the cohort's
    column."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Share of the trajectory that the edit goes back towards noise, above 0, at most 1. controlnet
    and instruct-pix2pix start from noise and take none."""
    steps: Count = 20
    """Number of steps of the full trajectory. With 50, changes were 2 to 16 % larger at 2.3 times
    the cost (see docs/counterfactuals.md)."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the changed prompt or of the instruction, at least 0; 1: no guidance."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image, at least 0; 1: no guidance."""
    instruction: Annotated[str, Field(min_length=1)] | None = None
    """With instruct-pix2pix: instruction in free words ("Age this brain by ten years") for all
    images. `set`, `age`, `add` and `remove` then only document the intended change. Default: the
    instruction that they give, worded as in training."""
    gate: Path | Literal[False] | None = None
    """Cohort of the adapter's training images. Edits that copy a training image of another patient
    are held back (see docs/privacy.md). Default: that cohort, where it is still in its place;
    `gate=False` turns the copy filter off."""
    detail: bool | None = None
    """Add the change to the source image at its own resolution, so that no detail of the
    reconstruction is lost; default: on for editors that invert the image."""
    reverse: bool = False
    """Edit each counterfactual back, into the folder "reverse" in its own. `latentdrift evaluate
    --edits` measures the distance to the source."""
    inversion: str | None = None
    """Inversion of the source image; default: the editor's."""
    iterations: Annotated[int, Field(ge=1, le=20)] | None = None
    """Fixed-point iterations at each step of a DDIM inversion, 1 to 20; default: as many as the
    step needs, 1 to 5. `inversion=direct` makes none; with `iterations` the default is the editor's
    first inversion that does."""
    inversions: Path | None = None
    """Folder with the cache of inversions, which are as private as the images; default: the folder
    "cache" in `out`."""
    private: Path | None = None
    """Folder with the secret and the map of DICOM UIDs. Edits with the same folder share studies
    and frames of reference in viewers. Default: `<out>-private`."""
    mask: Path | None = None
    """Mask of the pixels that may change: an image with the source's rows and columns, or a volume
    with its slices. Pixels at 0 stay."""
    protect: Path | None = None
    """Mask of the pixels that stay: nonzero where nothing may change. With `mask`, pixels in the
    mask that are not protected may change."""
    mask_edge: Annotated[float, Field(ge=0)] = 2.0
    """With `mask` or `protect`: width in pixels, inside the edge, over which the change sets in."""
    mask_threshold: Fraction = 0.5
    """With diffedit: threshold of the mask, as a share of the largest noise difference between the
    prompts, 0 to 1. Differences are cut off at 3 times their mean."""
    cross_share: Fraction = 0.8
    """With prompt-to-prompt and null-text: share of the steps in which words keep their
    cross-attention from the source, 0 to 1."""
    self_share: Fraction = 0.4
    """With prompt-to-prompt and null-text: share of the steps in which self-attention stays that of
    the source, 0 to 1."""
    exchange: Literal["replace", "refine"] = "replace"
    """With prompt-to-prompt and null-text: whether a new word takes over the attention of the word
    in its place (replace), or has its own (refine)."""
    emphasis: tuple[str, ...] = ()
    """With prompt-to-prompt and null-text: `WORD=FACTOR`, a factor on the attention to a word of
    the changed prompt."""
    local_blend: bool = False
    """With prompt-to-prompt and null-text: change only the regions that the differing words attend
    to."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: number of wordings of each state, 1 to 24. The edit direction is the
    difference of their mean embeddings."""
    attention_weight: Annotated[float, Field(ge=0)] = 0.1
    """With pix2pix-zero: step size that preserves the cross-attention, at least 0."""
    focus: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """With ledits: share of the image that each change leaves unchanged, from 0 to below 1."""
    split: Split | None = None
    """Split of a cohort; default: all splits."""
    patient: tuple[str, ...] = ()
    """Patients of a cohort, as pseudonyms (`p-3f0c...`, as in metadata.csv); default: all
    patients."""
    limit: Count | None = None
    """Largest number of images of a cohort, or of a file with several images."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice of a volume."""
    position: Position = "50%"
    """Position of the slice of a volume, in percent of its extent, millimetres in RAS, or a voxel
    index."""
    window: str | None = None
    """Intensity range that maps to [-1, 1]; default: the header's, else that of the adapter's
    cohort."""
    base: str | None = None
    """Place of the adapter's base on this machine; default: its place at the fit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed of the editor's noise."""
    seeds: Count = 1
    """With editors that draw noise: number of counterfactuals, with this seed and the next ones.
    The first is the counterfactual; together they give mean and uncertainty."""
