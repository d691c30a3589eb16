"""AdapterInfo for tests, from the few values that a test is about."""

from __future__ import annotations

from typing import Any

from latentdrift.model.adapter_info import AdapterInfo


def info_of(**values: Any) -> AdapterInfo:
    """adapter.json with these values, of a base that no test looks at."""
    return AdapterInfo.model_validate({"base": {"name": "tiny", "hash": "0" * 64}, **values})
