"""What can be asked beside distances: utility, alignment, the card of counterfactuals. Each costs
training classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from latentdrift.config import EvaluateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.evaluate.attributes.agreement_metrics import align
from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.attributes.counterfactual_metrics import card
from latentdrift.evaluate.attributes.image_text_scores import (
    JUDGES,
    by_encoder,
    by_judges,
    load_encoder,
)
from latentdrift.evaluate.attributes.prompt_ranking import retrieve
from latentdrift.evaluate.downstream import gan
from latentdrift.evaluate.downstream.augmentation_experiment import Task, Trial
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.classification_task import Classifying
from latentdrift.evaluate.downstream.segmentation_task import Segmenting
from latentdrift.evaluate.downstream.tstr import seconds_per_step
from latentdrift.evaluate.features.classifier import SMALL, load_network
from latentdrift.evaluate.images.image_sets import ImageSet, check_split
from latentdrift.evaluate.metrics.image_similarity import read_edits
from latentdrift.evaluate.privacy.repeat_visits import Space

Progress = Callable[[int, int], None]


class Questions:
    """Checked before work starts.

    Raises:
        OptionError: An attribute that the cohort has not, or one split to learn from and to be
            tested on.
        CohortError: No training images, or too few of a class.
        InputError: A network that cannot be read, or a folder without edits.
    """

    def __init__(self, options: EvaluateOptions, cohort: Cohort) -> None:
        check_split(cohort, options.split)
        self.options = options
        self.spec = cohort.attributes
        self.describe = cohort.describe
        self._trained: Judges | None = None
        self.task: Task | None = None
        asked = [f"`{name}`" for name in ("utility", "alignment") if getattr(options, name)]
        if asked and options.split in ("train", None):
            raise OptionError(
                f"{' and '.join(asked)} learn from the train split and judge by other patients; "
                "give `split=test`"
            )
        held_out = options.split not in ("train", None) and len(cohort.rows("train")) > 0
        wished = bool(options.card and options.edits)
        self.carded = wished and held_out
        words = (
            "No card of the counterfactuals: its judges learn from a train split and are measured "
            "on another one."
        )
        self.refused = [words] if wished and not held_out else []
        self.judging = options.alignment or self.carded
        if asked and not len(cohort.rows("train")):
            raise CohortError(
                f"{' and '.join(asked)} learn from the train split, and that of cohort "
                f"{cohort.folder} is empty"
            )
        column = _column(options.utility, self.spec)
        classified = bool(options.utility) and column is None
        if column is not None and not self.judging and options.classifier != SMALL.name:
            raise OptionError(
                f"`classifier` has no part in `utility={options.utility}`, which trains a small "
                "U-Net; leave it out"
            )
        self.network = load_network(options.classifier) if classified or self.judging else None
        if column is not None:
            self.task = Segmenting.of(cohort, options.synthetic, column, options.split)
        if self.network and options.utility and classified:
            how: Any = {"option": "utility", "splits": ("train", options.split)}
            self.task = Classifying(Classes.of(cohort, options.utility, **how), self.network)
        if options.gan_steps and not isinstance(self.task, Classifying):
            raise OptionError(
                "`gan_steps` trains a GAN whose images classifiers learn from, and none are "
                "trained; give `utility=ATTRIBUTE=VALUE`, or leave it out"
            )
        if options.scorer != JUDGES and not options.alignment:
            raise OptionError(
                f"`scorer={options.scorer}` ranks prompts, and none are ranked; give `alignment`, "
                "or leave it out"
            )
        self.encoder = load_encoder(options.scorer) if options.scorer != JUDGES else None
        self.by = options.by or ("sex" if "sex" in self.spec else None)

    def trial(self, device: str = "cpu") -> Trial | None:
        """Of utility, where it is asked for."""
        if self.task is None:
            return None
        steps = self.options.classifier_steps
        repeats = self.options.classifier_seeds
        how: Any = {
            "bootstrap": self.options.bootstrap,
            "seed": self.options.seed,
            "device": device,
        }
        return Trial(self.task, steps, repeats, **how, gan=self._gan(device))

    def _gan(self, device: str) -> Callable[[Any, Any], Any] | None:
        """A rival of the synthetic set, where it is asked for."""
        options = self.options
        return (
            partial(gan.imitate, steps=options.gan_steps, seed=options.seed, device=device)
            if options.gan_steps
            else None
        )

    @property
    def classifiers(self) -> int:
        """How many networks are trained."""
        trial = self.trial()
        return (trial.learners if trial else 0) + self.judges

    @property
    def judges(self) -> int:
        """Those of them that are judges of attributes."""
        return self.options.classifier_seeds if self.judging else 0

    def seconds(self) -> float:
        """How long training takes on this machine, from a few real steps of each kind of network,
        the GAN among them."""
        trial = self.trial()
        each = seconds_per_step(self.network) if self.network and self.judges else 0.0
        steps = self.judges * each + (
            trial.learners * trial.task.seconds_per_step() if trial else 0.0
        )
        imitation = (
            self.options.gan_steps * gan.seconds_per_step() if self.options.gan_steps else 0.0
        )
        return self.options.classifier_steps * steps + imitation

    def __call__(
        self,
        sets: Mapping[str, ImageSet],
        spaces: Mapping[str, Space],
        device: str,
        report: Progress,
    ) -> dict[str, Any]:
        """`utility`, `alignment` and `card` of report.json, those that are asked for, and their
        `warnings`.

        Args:
            sets: `real`, `synthetic` and `train`.
            spaces: Feature spaces.
            device: Where networks run.
            report: Told how many classifiers of the trial are done.
        """
        found: dict[str, Any] = {}
        real = sets["real"]
        synthetic = sets["synthetic"]
        how = {"bootstrap": self.options.bootstrap, "seed": self.options.seed}
        if trial := self.trial(device):
            found["utility"] = trial(sets["train"], real, synthetic, self.by, report)
        if self.options.alignment:
            judges = self._judges(sets["train"], device)
            scorer = (
                by_judges(judges, self.options.seed)
                if self.encoder is None
                else by_encoder(self.encoder, device)
            )
            retrieval = retrieve(scorer, real, synthetic, self.describe, self.spec, **how)
            found["alignment"] = {
                **align(judges, real, synthetic, sets["train"], **how),
                "retrieval": retrieval and {"scorer": Path(self.options.scorer).name, **retrieval},
            }
        said = self.refused + [
            words for part in found.values() for words in part.get("warnings", ())
        ]
        if self.carded:
            try:
                found["card"] = self._card(self._judges(sets["train"], device), real, spaces, how)
                said += found["card"]["warnings"]
            except InputError as error:
                said.append(f"No card of the counterfactuals: {error}.")
        return {**found, "warnings": said}

    def _card(
        self, judges: Judges, real: ImageSet, spaces: Mapping[str, Space], how: Any
    ) -> dict[str, Any]:
        edits = read_edits(Path(str(self.options.edits)))
        size = int(real.images.shape[1])
        return card(judges, edits, real, spaces, self.spec, size=size, by=self.by, **how)

    def _judges(self, train: ImageSet, device: str) -> Judges:
        """Trained once, for the first of those who ask."""
        if self._trained is None:
            assert self.network is not None
            options = self.options
            how: Any = {
                "network": self.network,
                "steps": options.classifier_steps,
                "repeats": options.classifier_seeds,
            }
            self._trained = Judges.learn(train, self.spec, seed=options.seed, device=device, **how)
        return self._trained


def _column(utility: str | None, spec: Mapping[str, Any]) -> str | None:
    """COLUMN of `mask=COLUMN`; None where classes are asked for, `mask` being an attribute of the
    cohort among them."""
    name, equals, column = (utility or "").partition("=")
    return column if name == "mask" and equals and name not in spec else None
