"""Options of the verbs that draw and edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, DriftForm, Fraction, Options, Split, Start


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
    """Conditions in one picture, `effusion:0.5 pneumonia:0.5`: findings, `name=value` or prompts,
    with weights that may be negative. The same in a prompt: `one:0.5 AND other:0.5`."""
    interpolate: tuple[str, ...] = ()
    """Two conditions; the images go from the first to the second in equal steps, with the same
    noise."""
    same_noise: bool = False
    """All images have the noise of the first, and differ by their prompts alone."""
    like: Path | None = None
    """A cohort whose attribute table the images follow."""
    split: Split | None = None
    """With `like`: only the rows of this split."""
    hint_image: tuple[Path, ...] = ()
    """Hints that all images are drawn from, a picture for each ControlNet in the stack's order;
    default: those of `like`."""
    gate: Path | Literal[False] | None = None
    """The cohort that the adapter was trained on: copies of its training images are held back, see
    docs/privacy.md. Default: that cohort, where it is still where `fit` found it; `gate=False`
    leaves the gate out."""
    n: Count = 16
    """Number of images."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    rescale: Fraction = 0.0
    """Share of guidance rescale, which keeps high weights from raising the contrast; 0 is none, 0.7
    is usual."""
    sampler: str = "ddim"
    """Sampler."""
    drift: str | None = None
    """Drift of the start: `none`, a value, `auto` for the closed form, `calibrated` if the adapter
    is, or a result's file;
    default: what the adapter stores."""
    drift_mode: Start | None = None
    """How sampling starts; default: as the adapter stores."""
    drift_form: DriftForm | None = None
    """How drift acts, for ablations; default: as the adapter stores."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the adapter's own."""
    depth: Annotated[int, Field(ge=8, le=16, multiple_of=8)] | None = None
    """Bits of grey pictures, 8 or 16; default: as the adapter's cohort has them."""
    format: Literal["png", "dicom", "nifti"] = "png"
    """What is written beside the cohort's PNGs: labelled synthetic DICOM objects or NIfTI files, in
    a folder of that name."""
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
    """Values that are tried in turn, a counterfactual for each and all of them in one picture:
    "age=60:90:5" (both ends included), "age=+5,+10", "diagnosis=dementia,no dementia"; of several,
    every combination."""
    animate: Literal["none", "gif", "mp4"] = "none"
    """With `grid`: the counterfactuals of each image in turn, as a moving picture; mp4 needs
    imageio-ffmpeg."""
    given: tuple[str, ...] = ()
    """Attributes of the source image where no table says them, `name=value`; may be repeated."""
    editor: str | None = None
    """Editing method, see docs/counterfactuals.md. Default: instruct-pix2pix for its own adapters,
    controlnet where there is a ControlNet, else ddim."""
    hint_image: tuple[Path, ...] = ()
    """Hints that all images are edited beside: a picture for each ControlNet in the stack's order,
    or for each that is shown masks; default: made from each image, masks from its cohort's
    column."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    """How far back towards noise the edit goes; controlnet and instruct-pix2pix always draw from
    noise, and take none."""
    steps: Count = 50
    """Steps of the full trajectory."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the changed prompt, or of the instruction; 1 is none."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image; 1 is none."""
    instruction: Annotated[str, Field(min_length=1)] | None = None
    """With instruct-pix2pix: what to do, in free words ("Age this brain by ten years"), of all
    images; `set`, `age`, `add` and `remove` then only say for the record what should come of it.
    Default: the instruction that they lead to, as in training."""
    gate: Path | Literal[False] | None = None
    """The cohort that the adapter was trained on: edits that repeat a training image of another
    patient are held back, see docs/privacy.md. Default: that cohort, where it is still where `fit`
    found it; `gate=False` leaves the gate out."""
    detail: bool | None = None
    """Put the change on the image itself, at its own resolution, instead of handing out what was
    drawn: nothing that the reconstruction loses is lost. Default: with editors that invert the
        image."""
    reverse: bool = False
    """Also edit each counterfactual back, into the folder "reverse" in its own;
    `latentdrift evaluate --edits` gives the distance."""
    inversion: str | None = None
    """Inversion of the image; default: the editor's own."""
    inversions: Path | None = None
    """Folder in which inversions are kept and found again, as private as the images; default:
    "cache" in `out`."""
    private: Path | None = None
    """Folder with the secret under which UIDs of DICOM sources are mapped, and with the map. Edits
    that share it stay together and lie over each other in viewers. Default: `<out>-private`."""
    mask: Path | None = None
    """Where the image may change: a picture of its rows and columns (or a volume with the same
    slices), 0 outside, where every pixel stays."""
    protect: Path | None = None
    """Where the image may not change: the same, 0 where it may. With `mask`, what is in the mask
    and not protected may."""
    mask_edge: Annotated[float, Field(ge=0)] = 2.0
    """With `mask` or `protect`: pixels inside the edge over which the change sets in."""
    mask_threshold: Fraction = 0.5
    """With diffedit: share of the largest difference between the prompts' noise from which on a
    place may change; what is more than three times the mean difference counts as the largest."""
    cross_share: Fraction = 0.8
    """With prompt-to-prompt and null-text: share of the steps in which words keep the attention
    they had in the source."""
    self_share: Fraction = 0.4
    """With prompt-to-prompt and null-text: the same for the attention of the picture to itself."""
    exchange: Literal["replace", "refine"] = "replace"
    """With prompt-to-prompt and null-text: whether a word in another's place takes over its
    attention, or has its own."""
    emphasis: tuple[str, ...] = ()
    """With prompt-to-prompt and null-text: `WORD=FACTOR`, what the attention to a word of the
    changed prompt is multiplied by."""
    local_blend: bool = False
    """With prompt-to-prompt and null-text: change nothing where the words that differ are not
    looked at."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: wordings of each state, between whose means the direction of the edit
    leads."""
    attention_weight: Annotated[float, Field(ge=0)] = 0.1
    """With pix2pix-zero: size of the steps that keep the cross-attention."""
    focus: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """With ledits: share of the picture that each change leaves alone."""
    split: Split | None = None
    """Of a cohort: only this split."""
    patient: tuple[str, ...] = ()
    """Of a cohort: only the images of these patients, by their pseudonyms (`p-3f0c...`, as in its
    metadata.csv)."""
    limit: Count | None = None
    """Of a cohort, or of a file with several pictures: at most this many images."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice, where the source is a 3-D volume."""
    position: str = "50%"
    """Position of the slice, where the source is a 3-D volume."""
    window: str | None = None
    """Intensity range that maps to [-1, 1]; default: the header's, else that of the cohort the
    adapter saw."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the editor's noise."""
    seeds: Count = 1
    """With editors that draw noise: so many counterfactuals, with this seed and the next ones; the
    first is the counterfactual, and all give a mean and an uncertainty."""
