"""Parts that all evaluations share: row of the table, inputs, result, training cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from pydantic import Field

from latentdrift.config import EvaluateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.display.html_report import Block, Colour
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.critics.anatomy_critics import Judge
from latentdrift.evaluate.downstream.tstr import seconds_per_step
from latentdrift.evaluate.features.classifier import Network, load_network
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import RecordedEdit
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers
from latentdrift.evaluate.metrics.feature_metrics import Vectors
from latentdrift.evaluate.metrics.image_similarity import Similarity
from latentdrift.evaluate.privacy.copy_detection import Copies, find_copies
from latentdrift.evaluate.privacy.pairwise_metrics import similarities_of
from latentdrift.evaluate.statistics.bootstrap import part_of, rng
from latentdrift.evaluate.statistics.results import Metric, ResultModel
from latentdrift.resampling import Resampling

MAX_SEARCHED = 2000
"""Images of a set in which copies are searched; of larger sets a random part is searched."""

Light = tuple[str, Colour, str]
"""Question, colour, and the sentence that gives the value beside its threshold."""
Features = Mapping[str, Callable[[np.ndarray], np.ndarray]]
"""Name of a feature space -> images [N, H, W, 3] in [0, 1] to features [N, D]."""
Progress = Callable[[int, int], None]
Value = TypeVar("Value")


class EvaluationResult(ResultModel):
    """Result of one evaluation. Every further field of a subclass is a key of report.json."""

    needs_training: ClassVar[bool] = False
    """Whether networks are trained for it. Its warnings follow those about the images."""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """Entries of `metrics` in report.json."""
    warnings: list[str] = Field(default_factory=list)
    """Sentences that a reader needs before the numbers."""

    def report_keys(self) -> dict[str, Any]:
        """Content for report.json, besides `metrics` and `warnings`."""
        contents = self.to_dict()
        return {key: contents[key] for key in contents if key not in ("metrics", "warnings")}


AnyResult = TypeVar("AnyResult", bound=EvaluationResult)


class Results:
    """Results of the evaluations of one synthetic set, in the order of EVALUATIONS."""

    def __init__(self, results: Sequence[EvaluationResult]) -> None:
        self._results = list(results)

    def __iter__(self) -> Iterator[EvaluationResult]:
        return iter(self._results)

    def get(self, kind: type[AnyResult]) -> AnyResult | None:
        """Result of an evaluation by its type; None where the evaluation did not run."""
        for result in self._results:
            if isinstance(result, kind):
                return result
        return None


@dataclass(eq=False)
class Request:
    """Options of `evaluate` and the cohort of real images, as the checks read them."""

    options: EvaluateOptions
    cohort: Cohort
    _values: dict[Any, Any] = field(default_factory=dict)

    def once(self, compute: Callable[[Request], Value]) -> Value:
        """Value of a function of this request, computed on the first call and then stored."""
        if compute not in self._values:
            self._values[compute] = compute(self)
        return cast(Value, self._values[compute])

    @cached_property
    def network(self) -> Network:
        """Network that the option `classifier` names.

        Raises:
            InputError: It cannot be read.
        """
        return load_network(self.options.classifier)

    @property
    def has_held_out(self) -> bool:
        """Whether the split of real images holds patients on whom nothing was trained."""
        is_test = self.options.split not in ("train", None)
        return is_test and len(self.cohort.rows("train")) > 0

    @property
    def scores_edits(self) -> bool:
        """Whether attribute predictors score the edits."""
        return bool(self.options.card and self.options.edits) and self.has_held_out

    @property
    def needs_predictors(self) -> bool:
        """Whether attribute predictors are trained."""
        return self.options.alignment or self.scores_edits

    @property
    def subgroup_column(self) -> str | None:
        """Attribute for subgroups: `by`, else the sex; None where the cohort has no sex."""
        return self.options.by or ("sex" if "sex" in self.cohort.attributes else None)

    def require_training_split(self, option: str) -> None:
        """Check that an option that trains networks has training images and other patients for the
        test.

        Args:
            option: Name of the option, for messages.

        Raises:
            OptionError: The reference split is the training split.
            CohortError: The training split is empty.
        """
        if self.options.split in ("train", None):
            raise OptionError(
                f"`{option}` learns from the train split and judges by other patients; give "
                "`split=test`"
            )
        if not len(self.cohort.rows("train")):
            raise CohortError(
                f"`{option}` learns from the train split, and that of cohort {self.cohort.folder} "
                "is empty"
            )


@dataclass(frozen=True)
class TrainingCost:
    """Networks that an evaluation trains, and the expected time on this machine."""

    networks: int = 0
    seconds: float = 0.0


NO_COST = TrainingCost()


def predictor_cost(request: Request) -> TrainingCost:
    """Cost of the attribute predictors, measured on a few real steps."""
    options = request.options
    seconds = seconds_per_step(request.network)
    steps = options.classifier_steps * options.classifier_seeds
    return TrainingCost(options.classifier_seeds, steps * seconds)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Images and settings that the evaluations of one synthetic set read.

    Attributes:
        real: Reference images, best of patients on whom nothing was trained.
        synthetic: The set that is judged.
        train: Training images, in which copies are searched; None where they are not known.
        spaces: Feature spaces by name.
        resampling: Resamples behind each interval; its seed is that of everything random.
        edits: Edits that are judged; empty: none.
        by: An attribute of both sets, for whose values distances are given one by one.
        critics: Anatomy critics by feature space, or the reason why there are none; None: they are
            trained by the first evaluation that needs them.
        request: Options and cohort; None: no networks are trained.
        device: Where networks run.
        progress: Called with the number of networks trained so far and in total.
        workers: Workers that share the search for copies.
    """

    real: EvaluationImages
    synthetic: EvaluationImages
    train: EvaluationImages | None
    spaces: Features
    resampling: Resampling = Resampling()
    edits: Sequence[RecordedEdit] = ()
    by: str | None = None
    critics: Mapping[str, Judge | str] | None = None
    request: Request | None = None
    device: str = "cpu"
    progress: Progress = lambda done, total: None
    workers: SearchWorkers = THIS_PROCESS

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.resampling.seed

    @cached_property
    def vectors(self) -> dict[str, Vectors]:
        """Features of all sets in each feature space."""
        return {
            label: Vectors.of(label, space, self.real, self.synthetic, self.train)
            for label, space in self.spaces.items()
        }

    @cached_property
    def searched_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the real and of the synthetic images that enter the search for copies."""
        real = part_of(len(self.real), MAX_SEARCHED, rng(self.seed, "searched", 0))
        synthetic = part_of(len(self.synthetic), MAX_SEARCHED, rng(self.seed, "searched", 1))
        return real, synthetic

    @cached_property
    def searched_real(self) -> EvaluationImages:
        """Real images that enter the search for copies."""
        return self.real.take(self.searched_places[0])

    @cached_property
    def searched_synthetic(self) -> EvaluationImages:
        """Synthetic images that enter the search for copies."""
        return self.synthetic.take(self.searched_places[1])

    @cached_property
    def copies(self) -> Copies | None:
        """Nearest training images of both sets; None without training images."""
        if self.train is None:
            return None
        return find_copies(
            self.searched_real, self.searched_synthetic, self.train, self.resampling, self.workers
        )

    @cached_property
    def similarities(self) -> Mapping[str, Similarity]:
        """Similarities of two images by name, with the perceptual ones of the feature spaces."""
        return similarities_of(self.spaces)

    @cached_property
    def predictors(self) -> Judges:
        """Attribute predictors, trained on the training split on the first call.

        Use it only where `request` and `train` are given.
        """
        assert self.request is not None and self.train is not None
        options = self.request.options
        return Judges.learn(
            self.train,
            self.request.cohort.attributes,
            network=self.request.network,
            steps=options.classifier_steps,
            repeats=options.classifier_seeds,
            seed=options.seed,
            device=self.device,
        )


@dataclass(frozen=True)
class Page:
    """Material of the sections of the report.

    Attributes:
        results: Results of all evaluations.
        images: `real`, `synthetic`, `train` where it is known, and further sets by name.
        edits: Edits that were judged.
    """

    results: Results
    images: Mapping[str, EvaluationImages]
    edits: Sequence[RecordedEdit] = ()


def _accept(request: Request) -> list[str]:
    return []


def _no_lights(results: Results) -> list[Light]:
    return []


def _no_section(page: Page) -> list[Block]:
    return []


def _no_cost(request: Request) -> TrainingCost:
    return NO_COST


@dataclass(frozen=True)
class Evaluation:
    """A row of EVALUATIONS: one question about a synthetic set.

    Attributes:
        result: Type of the result. Its fields are keys of report.json.
        compute: Result from the inputs; None where the question was not asked or does not apply.
        check: Refuses options that have no part, before images are loaded. Returns sentences for
            the report.
        lights: Traffic lights from the results.
        section: Section of the report.
        cost: Networks that are trained.
        titles: Titles of the metrics, by the part of their name before the point.
        first_set_only: Whether further sets of `compare` are left out.
    """

    result: type[EvaluationResult]
    compute: Callable[[Inputs], EvaluationResult | None]
    check: Callable[[Request], list[str]] = _accept
    lights: Callable[[Results], list[Light]] = _no_lights
    section: Callable[[Page], list[Block]] = _no_section
    cost: Callable[[Request], TrainingCost] = _no_cost
    titles: Mapping[str, str] = field(default_factory=dict)
    first_set_only: bool = False
