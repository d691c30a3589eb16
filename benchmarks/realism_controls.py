"""How well does the judge of realism see? Detection of ruined images, and false alarms on real
ones, by number of patients.

    python benchmarks/realism_controls.py COHORT OUT.json [--n 10 37 95] [--repeats 20]
    [--false-alarms 100]
        [--also SYNTHETIC ...]

Each repeat splits the patients of a cohort at random, one image of each patient: LEARN patients to
learn from, n held-out patients, and up to MADE other patients whose images take the place of a
synthetic set. They are judged as they are (a false alarm if the light were red) and ruined by each
control (a miss if it were green). `--also` judges sets that a model drew, which must not have been
trained on the held-out patients; the fit's own split is then kept: critics learn from train, the
rest is held out. Printed is the share of red, grey, amber and green lights of anatomy over repeats
(Wilson 95 %).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.critics.anatomy_critics import Judge
from latentdrift.evaluate.critics.structure_views import SIDE, Views, shrunk, structure
from latentdrift.evaluate.evaluations.realism import anatomy_light
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.controls import CONTROLS
from latentdrift.evaluate.statistics.bootstrap import proportion_interval, rng
from latentdrift.model.base import Base
from latentdrift.resampling import Resampling

LEARN = 40
MADE = 64
SIZE = 128


def main() -> None:
    options = arguments()
    base = Base.load("pocket", device="cpu", precision="fp32")
    spaces = load_features(["pocket"], pocket=base.features, pocket_maps=base.feature_maps)
    space = spaces["pocket"].spatial
    assert space is not None
    cohort = Cohort.load(options.cohort)
    everyone = image_sets.from_cohort(cohort, None, SIZE)
    views = Views.of(everyone, space, len(everyone), 0, "benchmark")
    drawn = {str(path.name): image_sets.load_set(path, None, SIZE) for path in options.also}
    synthetic = {
        name: structure(shrunk(images.images, SIDE), space) for name, images in drawn.items()
    }
    trained = np.asarray(cohort.rows(None)["split"] == "train")
    found: dict[str, Counter[str]] = {}
    for n in options.n:
        for repeat in range(max(options.repeats, options.false_alarms)):
            everything = repeat < options.repeats
            for name, colour in lights(
                views, synthetic if everything else {}, trained, n, repeat, space, everything
            ):
                found.setdefault(f"{n} {name}", Counter())[colour] += 1
        print_table(found, n)
        options.out.write_text(json.dumps(found, indent=1))


def lights(
    views: Views,
    synthetic: dict[str, list[np.ndarray]],
    trained: np.ndarray,
    n: int,
    repeat: int,
    space: object,
    ruins: bool,
) -> Iterator[tuple[str, str]]:
    """(what was judged, colour) of one repeat."""
    generator = rng(repeat, "benchmark", n)
    order = generator.permutation(np.unique(views.units))
    one = {unit: generator.choice(np.flatnonzero(views.units == unit)) for unit in order}
    if len(order) >= n + 2 * FEW:
        learn = order[: min(LEARN, len(order) - n - FEW)]
        held_out = order[len(learn) : len(learn) + n]
        rest = order[len(learn) + n :][:MADE]
        learned = views.take(np.flatnonzero(np.isin(views.units, learn)))
        judge = Judge(
            views.take(np.array([one[u] for u in held_out])),
            learned,
            space,
            resampling=Resampling(200, repeat),
        )  # type: ignore[arg-type]
        made = views.take(np.array([one[u] for u in rest]))
        yield "real", anatomy_light(judge(made.real))[0]
        for name in CONTROLS if ruins else ():
            yield name, anatomy_light(judge(made.ruined[name]))[0]
    if synthetic:
        learned = views.take(generator.permutation(np.flatnonzero(trained))[:150])
        unseen = [unit for unit in order if not trained[views.units == unit].any()]
        if len(unseen) >= n:
            judge = Judge(
                views.take(np.array([one[u] for u in unseen[:n]])),
                learned,
                space,
                resampling=Resampling(200, repeat),
            )  # type: ignore[arg-type]
            for name, made_views in synthetic.items():
                yield name, anatomy_light(judge(made_views))[0]


FEW = 10  # patients to learn from, and to be judged, at least


def print_table(found: dict[str, Counter[str]], n: int) -> None:
    """Shares of each colour at n patients."""
    for name, counts in found.items():
        if name.split()[0] == str(n):
            total = sum(counts.values())
            low, high = proportion_interval(counts["red"], total)
            shares = "  ".join(
                f"{colour} {counts[colour] / total:.2f}"
                for colour in ("red", "grey", "amber", "green")
            )
            print(f"n={name:24} {shares}   red [{low:.2f}, {high:.2f}] of {total}", flush=True)  # noqa: T201


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, nargs="+", default=[10, 37, 95])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--false-alarms", type=int, default=100, help="repeats in which real images are judged"
    )
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
