"""Warnings of pydicom, which may quote a header, stay out of the log while readers are at work."""

from __future__ import annotations

import warnings

from latentdrift.data.images.quiet import quiet


def test_no_warning_passes_until_the_last_reader_is_done() -> None:
    """Two threads that read: the first is done, the second meets an odd value. Then all is as it
    was."""
    first = quiet()
    second = quiet()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn("Invalid value for VR DA: 'DOE-JANE'", stacklevel=1)
        second.__exit__(None, None, None)
        assert not shown
        warnings.warn("after", stacklevel=1)
        assert [str(warning.message) for warning in shown] == ["after"]
