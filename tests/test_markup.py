"""Markup in a cell, a name, a prompt or a caption is shown as text on every page: nothing of it
runs.

The fast tests look at the tags of a page; the slow ones open it in Chromium with a script that
would mark the page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import places
import pytest
from partial_results import results

from latentdrift.data.cohort.cohort import write_cohort
from latentdrift.data.inspection.report import write_inspection
from latentdrift.display import html_report
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import EditRecord, RecordedEdit
from latentdrift.evaluate.reader_study import reader_study
from latentdrift.evaluate.report.report import EvaluationResults
from latentdrift.evaluate.report.report_page import page_blocks
from latentdrift.resampling import Resampling

MARK = "document.documentElement.setAttribute('data-ran','1')"
HOSTILE = (
    f'"><img src=x onerror="{MARK}"><script>{MARK}</script></style></title><svg '
    f"onload={MARK}>{{{{7*7}}}} $\\bad{{"
)
GREY = np.full((16, 16, 3), 0.5)
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "p",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "img",
    "figcaption",
    "ul",
    "li",
    "span",
    "b",
    "i",
    "footer",
}


class Tags(HTMLParser):
    """Every tag of a page with the names of its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, [name for name, _ in attrs]))

    def handle_data(self, data):
        self.words.append(data)


def metric(**more):
    ends = {"ci": [0.4, 0.6], "ceiling_ci": [0.8, 1.0], "floor_range": [0.4, 0.6]}
    return {"value": 0.5, "ceiling": 0.9, "floor": 0.5, **ends, **more}


def primitives() -> list[html_report.Block]:
    drawing, (ax,) = html_report.figure()
    ax.set_title(HOSTILE)
    ax.set_xticks([0, 1], [HOSTILE, HOSTILE])
    return [
        html_report.heading(HOSTILE),
        html_report.text(HOSTILE),
        html_report.table([{HOSTILE: HOSTILE, "n": 1}], HOSTILE),
        html_report.picture(GREY[..., 0], HOSTILE),
        html_report.picture(drawing, HOSTILE),
        html_report.gallery([(pixels(), HOSTILE)]),
        html_report.gallery([(np.zeros((4, 40), np.uint8), HOSTILE)]),
        html_report.lights([(HOSTILE, "red", HOSTILE)]),
    ]


def pixels() -> np.ndarray:
    return np.zeros((16, 16, 3), np.uint8)


def report() -> list[html_report.Block]:
    """A report whose every name, value, prompt and sentence is hostile."""
    kid = metric(floor_ci=[0, 1], matched=0.5, floor_n=2, n={HOSTILE: 3, "synthetic": 2}, k=5)
    judged = {
        f"{HOSTILE}={HOSTILE}": {
            "unit": None,
            "n": {"synthetic": 1, "real": 1},
            "verdict": HOSTILE,
            "metrics": {"auc": metric()},
        }
    }
    rule = {
        "values": [f"a={HOSTILE}", HOSTILE],
        "expected": 5.0,
        "asked": 1,
        "seen": 1,
        "seen_share": 0.1,
        "seen_real": 0.1,
    }
    curve = {"x": [0, 1], "real": [0, 1], "synthetic": [0, 1]}
    ranked = metric(n={"synthetic": 1, "real": 1})
    ways = {way: ranked for way in ("contradicted", "withheld")}
    retrieval = {
        "prompts": 2,
        "among": 2,
        "scorer": HOSTILE,
        "n": {"synthetic": 1, "real": 1},
        "curve": curve,
        "metrics": {"first": metric(blind=0.5)},
        "attributes": {HOSTILE: ways},
        "worst": [{"name": HOSTILE, "asked": HOSTILE, "best": HOSTILE}],
    }
    arm = {
        "value": 0.5,
        "ci": [0.4, 0.6],
        "sd": 0.1,
        "trained": [[1, 1]],
        "gap": 0.1,
        "gap_ci": [0.0, 0.2],
        "subgroups": {HOSTILE: 0.5},
    }
    other = arm | {"difference": 0.1, "difference_ci": [0.0, 0.2]}
    utility = {
        "measure": "AUC",
        "classes": f"{HOSTILE}={HOSTILE}",
        "network": HOSTILE,
        "steps": 1,
        "repeats": 1,
        "chance": 0.5,
        "by": HOSTILE,
        "groups": [HOSTILE, HOSTILE],
        "tested": {"images": [1, 1], "patients": [1, 1]},
        "arms": {"real": arm, "real + synthetic": other},
        "curves": {
            name: [{"n": 1, "value": 0.5, "ci": None}] for name in ("synthetic", "real + synthetic")
        },
    }
    edit = RecordedEdit(HOSTILE, EditRecord(), GREY, GREY, GREY)
    counts = {"real": 3, "synthetic": 2, "train": 2}
    counted = {"value": 1, "ci": None, "n": counts, "floor": None}
    known = {
        "utility": utility,
        "alignment": {
            "judged": judged,
            "left_out": [HOSTILE],
            "rules": [rule],
            "retrieval": retrieval,
        },
        "card": hostile_card(),
        "metrics": {f"kid.{HOSTILE}": kid, "copies": counted, "duplicates": counted},
        "spaces": {HOSTILE: {"dimension": 1, "protocol": HOSTILE}},
        "map": {HOSTILE: {"real": [[0, 0]], "synthetic": [[1, 1]], "explained": [0.5, 0.5]}},
        "realism": {HOSTILE: {"reason": HOSTILE}},
        "by": {"column": HOSTILE, "values": {HOSTILE: {"metrics": {f"kid.{HOSTILE}": kid}}}},
        "copies": {
            "threshold": 0.8,
            "held_out": [0.1],
            "planted": {"n": 1, "caught": 1},
            "pairs": [
                {
                    "synthetic": HOSTILE,
                    "train": HOSTILE,
                    "similarity": 0.5,
                    "mirrored": False,
                    "copy": False,
                }
            ],
        },
        "duplicates": {
            "threshold": 0.8,
            "pairs": [{"first": HOSTILE, "second": HOSTILE, "similarity": 0.9}],
        },
        "edits": [
            {
                "name": HOSTILE,
                "detail": False,
                "ssim.reconstruction": 1.0,
                "ssim.counterfactual": 1.0,
            }
        ],
    }
    images = EvaluationImages(GREY[None], names=[HOSTILE])
    both = {"real": images, "synthetic": images, "train": images}
    page = EvaluationResults({"real": 3, "synthetic": 2}, Resampling(10), results(known), [HOSTILE])
    return page_blocks(page, both, [edit])


def hostile_card():
    mean = {"value": 0.1, "ci": [0.0, 0.2], "n": 3}
    kind = f"{HOSTILE}={HOSTILE}"
    cell = mean | {"share": 0.1, "share_ci": [0, 0.2], "asked": False, "beyond": True}
    classes = {
        "change": kind,
        "judged": kind,
        "unit": None,
        "n": 3,
        "patients": 3,
        "reached": 0.5,
        "reached_ci": None,
        "untouched": 0.1,
        "ceiling": 0.9,
        "moved": mean,
    }
    one = {
        "counterfactual": 1.0,
        "reconstruction": 1.0,
        "visits": 1.0,
        "strangers": 0.0,
        "kept": 1.0,
        "kept_ci": None,
        "strangers_kept": 0.0,
        "n": {"edits": 3, "patients": 3},
    }
    realism = {
        "change": kind,
        "features": HOSTILE,
        "n": {"edits": 1, "patients": 1, "real": 1},
        "value": 0.1,
        "ci": None,
        "floor": 0.1,
        "floor_ci": None,
        "matched": 0.1,
        "original": 0.1,
    }
    return {
        "effectiveness": [classes],
        "by": HOSTILE,
        "subgroups": {HOSTILE: [classes]},
        "composition": mean,
        "minimality": {},
        "reversibility": mean,
        "realism": [realism],
        "follow_ups": None,
        "collateral": {"columns": [kind], "rows": {kind: [cell]}, "unit_of": "visits"},
        "identity": {HOSTILE: one},
        "worst": {"reconstruction": [HOSTILE]},
    }


def written(kind: str, folder: Path) -> Path:
    """A page full of hostile text."""
    if kind in ("primitives", "report"):
        html_report.write_page(
            folder / "page.html", HOSTILE, primitives() if kind == "primitives" else report()
        )
        return folder / "page.html"
    cells = pd.DataFrame({"finding": [HOSTILE, "none"] * 4, "view": [HOSTILE] * 8})
    if kind == "reader":
        sets = [
            EvaluationImages(np.full((4, 16, 16, 3), level), None, [HOSTILE] * 4, cells[:4])
            for level in (0.2, 0.8)
        ]
        items = reader_study.choose(*sets, n=3, by="finding", seed=0)
        reader_study.write_study(folder / "study", items, folder / "key.json", by=HOSTILE, seed=0)
        return folder / "study" / "study.html"
    write_inspection(cohort_of(folder / "cohort", cells), folder / "inspection")
    return folder / "inspection" / "inspect.html"


def cohort_of(folder: Path, cells: pd.DataFrame):
    noise = np.random.default_rng(0).integers(0, 255, (len(cells), 16, 16), dtype=np.uint8)
    rows = ((noise[i], {"patient": f"p-{i}", **cells.iloc[i]}) for i in range(len(cells)))
    spec = {"finding": {"type": "category", "vocabulary": [HOSTILE, "none"]}}
    about = {"describe": HOSTILE, "attributes": spec, "synthetic": False}
    return write_cohort(folder, rows, about)


PAGES = ("primitives", "report", "inspect", "reader")


@pytest.mark.parametrize("kind", PAGES)
def test_no_text_becomes_a_tag(kind: str, tmp_path: Path) -> None:
    html = written(kind, tmp_path).read_text(encoding="utf-8")
    found = Tags(html)
    extra = {"script", "button", "small"} if kind == "reader" else set()
    assert {tag for tag, _ in found.seen} <= TAGS | extra
    assert not [name for _, names in found.seen for name in names if name.startswith("on")]
    assert html.count("<script") == (kind == "reader")
    if kind != "reader":
        assert any(HOSTILE in words for words in found.words)


def test_no_template_turns_escaping_off() -> None:
    source = places.REPOSITORY / "src" / "latentdrift"
    texts = [
        path.read_text(encoding="utf-8")
        for path in (*source.rglob("*.jinja"), *source.rglob("*.py"))
    ]
    assert not [text for text in texts if re.search(r"\|\s*safe\b|Markup\(|autoescape=False", text)]


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def ran(path: Path, folder: Path) -> bool:
    """Whether a script marked the page."""
    how = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]
    told = subprocess.run(
        [str(CHROMIUM), *how, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "</html>" in told.stdout, told.stderr[-500:]
    return bool(re.search(r"<html[^>]*data-ran", told.stdout))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("kind", PAGES)
def test_nothing_runs_in_chromium(kind: str, tmp_path: Path) -> None:
    assert not ran(written(kind, tmp_path), tmp_path / "profile")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_chromium_would_have_run_it(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        f"<!doctype html><html><body>{HOSTILE}</body></html>", encoding="utf-8"
    )
    assert ran(tmp_path / "page.html", tmp_path / "profile")
