"""Copies are found however they are dressed up; honest pictures are left alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.features.nearest_neighbours import same_patient
from latentdrift.evaluate.images import disk_array, registration
from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.images.registration import Overlaid, nearest
from latentdrift.evaluate.privacy.copy_detection import (
    THRESHOLD,
    CopyThresholds,
    Ruler,
    find_copies,
    find_duplicates,
    threshold,
)
from latentdrift.resampling import Resampling

SIZE = 64


def people(n: int, seed: int) -> np.ndarray:
    """Aligned pictures of different people, grey [n, SIZE, SIZE]: one head and brain for all, an
    anatomy for each."""
    generator = np.random.default_rng(seed)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    shared = 0.5 / (1 + np.exp((np.hypot(x / 0.36, y / 0.44) - 1) * 25)) - 0.25 / (
        1 + np.exp((np.hypot(x / 0.1, y / 0.2) - 1) * 15)
    )
    own = gaussian_filter(generator.normal(size=(n, SIZE, SIZE)), (0, 4, 4))
    own *= 0.06 / own.std()
    return np.clip(
        0.2 + shared + own * (shared > 0.05) + generator.normal(0, 0.01, own.shape), 0, 1
    )


def images(grey: np.ndarray, patients: list[str] | None = None) -> EvaluationImages:
    return EvaluationImages(np.repeat(np.clip(grey, 0, 1)[..., None], 3, -1), patients)


def encoded(grey: np.ndarray, quality: int) -> np.ndarray:
    out = []
    for picture in grey:
        buffer = io.BytesIO()
        Image.fromarray((picture * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(buffer)) / 255)
    return np.stack(out)


def cropped(grey: np.ndarray, most: float) -> np.ndarray:
    generator = np.random.default_rng(5)
    out = []
    for picture in grey:
        side = SIZE * (1 - generator.uniform(0.02, most))
        left, top = generator.uniform(0, SIZE - side, 2)
        box = (left, top, left + side, top + side)
        out.append(
            np.asarray(
                Image.fromarray(picture.astype(np.float32)).resize(
                    (SIZE, SIZE), Image.Resampling.BICUBIC, box=box
                )
            )
        )
    return np.stack(out)


TRAIN = people(60, 0)
TRAIN_IMAGES = images(TRAIN)
HELD_OUT = images(people(16, 1))
NOISE = np.random.default_rng(9)
COPIES = {
    "exact": lambda x: x,
    "noised": lambda x: x + NOISE.normal(0, 0.02, x.shape),
    "re-encoded": lambda x: encoded(x, 40),
    "mirrored": lambda x: x[:, :, ::-1],
    "cropped": lambda x: cropped(x, 0.08),
    "brighter": lambda x: 0.8 * x + 0.15,
    "blurred": lambda x: gaussian_filter(x, (0, 0.7, 0.7)),
    "mirrored, cropped, noised": lambda x: (
        cropped(x, 0.06)[:, :, ::-1] + NOISE.normal(0, 0.01, x.shape)
    ),
}


@pytest.fixture(autouse=True, scope="module")
def held_out_images_are_searched_once():
    """The nearest training images of HELD_OUT in TRAIN_IMAGES are the same in every test."""
    measure = Ruler.of
    measured = measure(TRAIN_IMAGES, HELD_OUT)

    def of(train, real, workers):
        is_known = train is TRAIN_IMAGES and real is HELD_OUT
        return measured if is_known else measure(train, real, workers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ruler, "of", of)
        yield


@pytest.mark.parametrize("disguise", COPIES)
def test_a_copy_is_found_and_its_original_named(disguise):
    synthetic = images(COPIES[disguise](TRAIN[:6]))
    found = find_copies(HELD_OUT, synthetic, TRAIN_IMAGES, resampling=Resampling(20))
    assert found.metrics["copies"].value == 6
    assert found.synthetic.index.tolist() == list(range(6))
    assert found.synthetic.mirrored.all() == ("mirrored" in disguise)


def test_honest_pictures_are_left_alone():
    found = find_copies(HELD_OUT, images(people(60, 2)), TRAIN_IMAGES, resampling=Resampling(50))
    copies = found.metrics["copies"]
    assert copies.value == copies.floor == 0 and copies.n == {
        "real": 16,
        "synthetic": 60,
        "train": 60,
    }
    assert copies.ci[0] <= copies.value <= copies.ci[1]
    nearest = found.metrics["nearest.pixel"]
    assert nearest.ci[0] < nearest.value < nearest.ci[1] and nearest.value == pytest.approx(
        1, abs=0.05
    )


def test_copies_among_honest_pictures_are_counted():
    mixed = np.concatenate([people(12, 3), TRAIN[7:10]])
    found = find_copies(HELD_OUT, images(mixed), TRAIN_IMAGES, resampling=Resampling(20))
    assert found.metrics["copies"].value == 3
    assert [pair.is_copy for pair in found.pairs][:4] == [True, True, True, False]
    assert {pair.train for pair in found.pairs[:3]} == {"7", "8", "9"}


def test_smooth_random_pictures_are_not_copies():
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(70, SIZE, SIZE)), (0, 8, 8))
    smooth = 0.5 + 0.15 * smooth / smooth.std()
    found = find_copies(
        images(smooth[:15]), images(smooth[15:30]), images(smooth[30:]), resampling=Resampling(20)
    )
    assert found.metrics["copies"].value == 0


def test_a_plain_correlation_would_not_do():
    """Strangers share the outline: it is taken off before pictures are compared."""
    both = np.concatenate([TRAIN, people(10, 4)])
    plain = np.corrcoef(both.reshape(len(both), -1))[60:, :60].max(1)
    assert plain.min() > 0.9
    assert nearest(images(both[60:]).images, structure(images(TRAIN).images)).value.max() < 0.6


def test_visits_of_one_patient_do_not_lift_the_baseline():
    """Where the reference holds later visits of training patients, only other patients are
    compared."""
    visits = images(
        np.clip(TRAIN[:30] + np.random.default_rng(6).normal(0, 0.005, TRAIN[:30].shape), 0, 1),
        [str(i) for i in range(30)],
    )
    train = images(TRAIN, [str(i) for i in range(60)])
    found = find_copies(visits, images(TRAIN[:5]), train, resampling=Resampling(20))
    assert found.metrics["copies"].value == 5 and found.metrics["copies"].floor == 0
    assert max(found.held_out) < THRESHOLD[0]


def test_the_training_set_can_be_its_own_baseline_when_patients_are_known():
    train = images(TRAIN[:24], [str(i // 2) for i in range(24)])
    found = find_copies(
        train, images(np.concatenate([TRAIN[:2], people(6, 8)])), train, resampling=Resampling(20)
    )
    assert found.metrics["copies"].value == 2


def test_duplicates_among_the_held_out_do_not_hide_copies():
    """Three of thirty held-out pictures leaked into the training set: the threshold stays, and the
    floor tells."""
    real = images(np.concatenate([people(27, 1), TRAIN[:3]]))
    found = find_copies(real, images(TRAIN[10:20]), images(TRAIN), resampling=Resampling(20))
    assert found.metrics["copies"].value == 10
    assert found.metrics["copies"].floor == pytest.approx(1.0)  # 3 of 30, for 10 synthetic pictures


def test_one_training_picture_is_enough():
    found = find_copies(
        images(people(10, 1)),
        images(np.concatenate([TRAIN[:1], people(5, 2)])),
        images(TRAIN[:1]),
        resampling=Resampling(20),
    )
    assert [pair.is_copy for pair in found.pairs] == [True] + [False] * 5


def test_flat_pictures_are_no_copies_and_break_nothing():
    found = find_copies(
        HELD_OUT, images(np.zeros((3, SIZE, SIZE))), TRAIN_IMAGES, resampling=Resampling(20)
    )
    assert found.metrics["copies"].value == 0 and np.isfinite(found.synthetic.value).all()


def test_the_threshold_moves_with_the_held_out_and_stays_where_copies_are():
    generator = np.random.default_rng(0)
    assert threshold(np.full(50, 0.5) + generator.normal(0, 0.01, 50)) == THRESHOLD[0]
    alike = np.tanh(1.85 + generator.normal(0, 0.1, 4000))
    assert threshold(alike) == pytest.approx(np.tanh(1.85 + 0.35), abs=0.003)
    assert threshold(np.full(50, 0.9999)) == THRESHOLD[1]
    assert THRESHOLD[0] < threshold(np.array([0.3])) < THRESHOLD[1]  # too few to say


def test_either_of_two_similarities_tells_a_copy():
    """One number stands for both: it is above the one threshold where either is above its own."""
    thresholds = CopyThresholds(0.9, 0.75)
    generator = np.random.default_rng(0)
    coarse, fine = generator.uniform(0.5, 1, (2, 500))
    found = Overlaid(np.zeros(500, int), coarse, np.zeros(500, bool), fine)
    assert ((thresholds.similarity(found) > 0.9) == ((coarse > 0.9) | (fine > 0.75))).all()
    nothing = Overlaid(np.zeros(1, int), -np.ones(1), np.zeros(1, bool), -np.ones(1))
    assert thresholds.similarity(nothing) == -1


def test_same_patient_pairs():
    a = images(TRAIN[:2], ["p", "q"])
    b = images(TRAIN[:3], ["q", "q", "r"])
    pairs = same_patient(a, b)
    assert pairs and pairs(slice(None), slice(None)).tolist() == [
        [False, False, False],
        [True, True, False],
    ]
    assert pairs(slice(1, 2), slice(1, 3)).tolist() == [[True, False]]
    unknown = images(TRAIN[:3])
    own = same_patient(unknown, unknown)
    assert (
        same_patient(a, unknown) is None
        and own
        and own(slice(0, 3), slice(0, 3)).tolist() == np.eye(3, dtype=bool).tolist()
    )


def test_blocks_of_any_size_give_the_same_answer(monkeypatch):
    """Pictures on disk or in memory, structures in a file or not, a few pairs at a time or all at
    once."""
    made = np.concatenate([cropped(TRAIN[:2], 0.08), TRAIN[2:4][:, :, ::-1], people(3, 3)])
    sets = [
        images(grey, [f"{kind}{i // 2}" for i in range(len(grey))])
        for kind, grey in (("p", people(6, 1)), ("s", made), ("t", TRAIN[:12]))
    ]
    answers = []
    for rows, columns, memory in ((64, 1024, 2**26), (4, 7, 100)):
        monkeypatch.setattr(registration, "BLOCK", rows)
        monkeypatch.setattr(registration, "COLUMNS", columns)
        monkeypatch.setattr(disk_array, "IN_MEMORY", memory)
        found = find_copies(*sets, resampling=Resampling(20))
        answers.append((found, find_duplicates(*sets[:2])))
        sets = [
            EvaluationImages(
                Pictures(x.images.__getitem__, (SIZE, SIZE), x.names, x.names), x.patients, x.names
            )
            for x in sets
        ]
    (whole, twins), (parts, others) = answers
    assert whole.metrics["copies"].value == 4 and twins[0] == others[0]
    for one, other in ((whole.synthetic, parts.synthetic), (whole.real, parts.real)):
        assert (
            one.index.tolist() == other.index.tolist()
            and one.mirrored.tolist() == other.mirrored.tolist()
        )
        assert one.value == pytest.approx(other.value, abs=1e-5)
