"""Scores of images and prompts: SCORERS, by which prompts are ranked.

A prompt is a row of a table, and what the sentence of that row says. The judges of attributes rank
it by what they see, against how common it is: for each attribute that it names, the logarithm of
how likely the value is for one who sees the picture over how likely it is for one who does not. An
attribute that judges cannot see in real pictures has no say. A published dual encoder, such as
CLIP, reads the sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from latentdrift import prompts
from latentdrift.attributes.specification import Spec
from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.attribute_predictors import Judges, Output
from latentdrift.evaluate.features.preprocessing import Entrance
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import groups, rng

JUDGES = "judges"  # what the option calls them
# real pictures of a number, and of each side of a class, below which an attribute has no say (ours)
CALIBRATED = 10
# likelihood-ratio statistic from which a judgement is more than chance (95 % point of chi squared,
# 1 degree)
MIN_INFORMATIVE = 3.84
FOLDS = 10
FULL = 77  # tokens; encoders whose texts are no longer learned from texts that were filled up to it
BATCH = 32


class Prompts:
    """Different sentences, and a row of attributes that each was made of."""

    def __init__(self, describe: str, spec: Spec) -> None:
        self.describe = describe
        self.spec = spec
        self._places: dict[str, int] = {}
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: pd.DataFrame) -> np.ndarray:
        """Add the sentence of each row, unless it is there; returns their positions, int [N]."""
        places = []
        for row in rows.to_dict("records"):
            attributes = prompts.attributes_of(row, self.spec)
            place = self._places.setdefault(
                prompts.sentence(self.describe, attributes), len(self._rows)
            )
            if place == len(self._rows):
                self._rows.append(attributes)
            places.append(place)
        return np.array(places, int)

    @property
    def texts(self) -> list[str]:
        """All different sentences, in the order in which they were added."""
        return list(self._places)

    @property
    def rows(self) -> pd.DataFrame:
        """Attributes of each prompt; a cell is empty where the prompt has no such attribute."""
        return pd.DataFrame(self._rows, columns=list(self.spec))


Scorer = Callable[[EvaluationImages, EvaluationImages, Prompts], tuple[np.ndarray, np.ndarray]]
"""Held-out real pictures [N], synthetic ones [M] and prompts [P] -> how well each goes with each:
[N, P] and [M, P]."""


@dataclass(frozen=True)
class Evidence:
    """Log-likelihood ratio of a value given a prediction, against the prior. It is fitted on real
    images by regression (of classes: Platt 1999).

    Attributes:
        slope, start: Of the number, or of the log-odds, on the judgement.
        sd: Of a number about that line; 0 for a class.
        mean, spread: Of the number among real pictures; for a class the log-odds of its share, and
            0.
    """

    slope: float
    start: float
    sd: float
    mean: float
    spread: float

    @classmethod
    def learn(cls, output: Output, truth: np.ndarray, prediction: np.ndarray) -> Evidence | None:
        """Fit the evidence of one output on real images.

        Args:
            output: The output.
            truth: Labels [N]; NaN: unknown.
            prediction: Predictions [N].

        Returns:
            None for too few labels, or predictions without information.
        """
        known = ~np.isnan(truth)
        truth = truth[known]
        prediction = prediction[known]
        if output.value is None:
            if len(truth) < CALIBRATED or np.ptp(prediction) == 0 or np.ptp(truth) == 0:
                return None
            slope, start = np.polyfit(prediction, truth, 1)
            squares = np.square(truth - start - slope * prediction).sum()
            sd = max(np.sqrt(squares / (len(truth) - 2)), 1e-3 * truth.std())
            gain = len(truth) * np.log(len(truth) * truth.var() / max(squares, 1e-300))
            evidence = cls(
                float(slope), float(start), float(sd), float(truth.mean()), float(truth.std())
            )
        else:
            if min(truth.sum(), (1 - truth).sum()) < CALIBRATED:
                return None
            from sklearn.linear_model import LogisticRegression

            scale = max(float(prediction.std()), 1e-12)
            share = truth.mean()
            line = LogisticRegression().fit(prediction[:, None] / scale, truth.astype(int))
            slope = line.coef_[0, 0] / scale
            prior = np.log(share / (1 - share))
            evidence = cls(float(slope), float(line.intercept_[0]), 0.0, float(prior), 0.0)
            gain = (
                2
                * evidence(prediction, np.array([0.0, 1.0]))[
                    np.arange(len(prediction)), truth.astype(int)
                ].sum()
            )
        return evidence if slope > 0 and gain >= MIN_INFORMATIVE else None

    def __call__(self, prediction: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Judgements [N] and the values of prompts [P] -> [N, P], natural logarithms; 0 where a
        prompt says nothing."""
        seen = (self.start + self.slope * prediction)[:, None]
        value = values[None]
        if self.sd:
            ratio = _log_density(value, seen, self.sd) - _log_density(value, self.mean, self.spread)
        else:
            ratio = np.where(
                value == 1,
                _log_share(seen) - _log_share(self.mean),
                _log_share(-seen) - _log_share(-self.mean),
            )
        return np.where(np.isnan(value), 0.0, ratio)


def _log_density(value: np.ndarray, mean: np.ndarray | float, sd: float) -> np.ndarray:
    """Log density of the normal distribution, but for a constant."""
    result: np.ndarray = -np.square((value - mean) / sd) / 2 - np.log(sd)
    return result


def _log_share(odds: np.ndarray | float) -> np.ndarray:
    """The logarithm of the probability whose log-odds these are."""
    result: np.ndarray = -np.logaddexp(0.0, -np.asarray(odds))
    return result


def by_judges(judges: Judges, seed: int = 0) -> Scorer:
    """Scorer by attribute predictors: the sum of the log-likelihood ratios of all outputs.

    The reliability of an output is fitted on real images, in FOLDS folds over patients.

    Args:
        judges: Trained attribute predictors.
        seed: Seed of the folds.
    """

    def score(
        real: EvaluationImages, synthetic: EvaluationImages, all_prompts: Prompts
    ) -> tuple[np.ndarray, np.ndarray]:
        values = judges.truths(all_prompts.rows, len(all_prompts))
        truths = judges.truths(real.attributes, len(real))
        ours = judges(real)
        theirs = judges(synthetic)
        units = groups(len(real), real.patients)
        folds = rng(seed, "scorer").permutation(units.max() + 1)[units] % FOLDS
        scores = np.zeros((len(real), len(all_prompts)))
        for fold in range(FOLDS):
            out = folds == fold
            scores[out] = _log_likelihood_ratios(
                judges, truths[~out], ours[~out], ours[out], values
            )
        return scores, _log_likelihood_ratios(judges, truths, ours, theirs, values)

    return score


def _log_likelihood_ratios(
    judges: Judges,
    truths: np.ndarray,
    known: np.ndarray,
    predictions: np.ndarray,
    values: np.ndarray,
) -> np.ndarray:
    """Judgements [N, K] of pictures against values [P, K]: [N, P], trusted as far as `known` [R, K]
    agrees with `truths`."""
    total = np.zeros((len(predictions), len(values)))
    for place, output in enumerate(judges.outputs):
        evidence = Evidence.learn(output, truths[:, place], known[:, place])
        if evidence is not None:
            total += evidence(predictions[:, place], values[:, place])
    return total


@dataclass(frozen=True)
class Encoder:
    """A Hugging Face dual encoder of pictures and texts."""

    model: Any
    tokenizer: Any
    entrance: Entrance
    longest: int
    """Tokens of a text."""

    def pictures(self, images: EvaluationImages, device: str) -> np.ndarray:
        """Encode images as unit vectors [N, D].

        Args:
            images: The images.
            device: Device of the model.
        """
        parts = (images.images[start : start + BATCH] for start in range(0, len(images), BATCH))
        entered = (
            self.entrance.scale(resize(part, self.entrance.size).to(device)) for part in parts
        )
        return np.concatenate(
            [_unit(self.model.get_image_features(pixel_values=x)) for x in entered]
        )

    def texts(self, texts: list[str], device: str) -> np.ndarray:
        """Encode texts as unit vectors [P, D].

        Args:
            texts: P texts; longer ones than the model reads are truncated.
            device: Device of the model.
        """
        tokenizer_options: Any = {
            "padding": "max_length" if self.longest <= FULL else True,
            "truncation": True,
            "max_length": self.longest,
        }
        parts = (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))
        tokens = (
            self.tokenizer(part, return_tensors="pt", **tokenizer_options).to(device)
            for part in parts
        )
        return np.concatenate([_unit(self.model.get_text_features(**x)) for x in tokens])


def load_encoder(name: str) -> Encoder:
    """Load a dual encoder of images and texts, as CLIP or SigLIP.

    Args:
        name: Folder or id of a Hugging Face model.

    Raises:
        InputError: No such model, or incomplete weights.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        entrance = Entrance.of(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, info = AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
        longest = min(
            int(tokenizer.model_max_length), int(model.config.text_config.max_position_embeddings)
        )
        _ = model.get_image_features, model.get_text_features
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise InputError(
            f"no dual encoder of images and texts could be read from '{name}' "
            f"({' '.join(str(error).split())[:200]}); give `{JUDGES}`, or the folder or id of a "
            "model of transformers that has both, such as CLIP or SigLIP; weights in the layout of "
            "open_clip alone cannot be read"
        ) from error
    if info["missing_keys"]:
        raise InputError(
            f"'{name}' lacks weights, e.g. {min(info['missing_keys'])}; scores of random weights "
            "would mean nothing"
        )
    return Encoder(model.eval().requires_grad_(False), tokenizer, entrance, longest)


def by_encoder(encoder: Encoder, device: str = "cpu") -> Scorer:
    """Scorer by a dual encoder: the cosine between image and sentence.

    Args:
        encoder: From `load_encoder`.
        device: Device of the encoder.
    """

    def score(
        real: EvaluationImages, synthetic: EvaluationImages, all_prompts: Prompts
    ) -> tuple[np.ndarray, np.ndarray]:
        encoder.model.to(device)
        texts = encoder.texts(all_prompts.texts, device)
        ours, theirs = (encoder.pictures(images, device) @ texts.T for images in (real, synthetic))
        return ours, theirs

    return score


def _unit(output: Any) -> np.ndarray:
    """Features [B, D], which newer versions of transformers wrap, at length 1."""
    features = getattr(output, "pooler_output", output)
    result: np.ndarray = (
        (features / features.norm(dim=-1, keepdim=True)).cpu().numpy().astype(np.float64)
    )
    return result
