"""Tests mirror the tree: `tests/<folder>/test_<module>.py` for `<folder>/<module>.py`."""

from __future__ import annotations

from pathlib import Path

import places

SOURCE = places.REPOSITORY / "src" / "latentdrift"
TESTS = places.REPOSITORY / "tests"

FIELDS_ALONE = {
    f"config/{name}.py" for name in ("benchmark", "data", "demo", "evaluate", "generate")
}
"""Options without code of their own; tests/config/test_base.py checks the fields of every model."""
SEVERAL_MODULES = {"model/families/test_second_family.py"}
"""Tests of a folder's modules together."""


def named_tests() -> set[str]:
    """Paths of all test files, relative to tests/."""
    return {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def test_every_module_has_tests_of_its_name() -> None:
    modules = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    expected = {
        path.as_posix(): path.with_name(f"test_{path.name}").as_posix()
        for path in modules
        if path.name != "__init__.py"
    }
    tests = named_tests()
    without = {module for module, test in expected.items() if test not in tests}
    assert without == FIELDS_ALONE


def test_every_test_in_a_folder_is_named_after_a_module() -> None:
    """A test of several folders together stands at the top."""
    in_folders = {test for test in named_tests() if "/" in test} - SEVERAL_MODULES
    strangers = {
        test
        for test in in_folders
        if not (SOURCE / test).with_name(Path(test).name.removeprefix("test_")).is_file()
    }
    assert strangers == set()
