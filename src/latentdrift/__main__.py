"""`python -m latentdrift` is `latentdrift`; it is also what `accelerate launch -m latentdrift`
starts.

Nothing is imported before signals are in order, and they stay so until the interpreter is gone.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from latentdrift.cli import stopping


def main() -> int:
    """Entry point of the `latentdrift` command: the exit code, which is that of a signal from the
    first moment to the last where one came."""
    stopping.leave_at_once()
    from latentdrift.cli.main import main as run

    code = run()
    if code in stopping.CODES:
        _leave(code)
    return code


def _leave(code: int) -> None:
    """End the process with an exit code.

    Python ends as killed by SIGINT, whatever the exit code, where Ctrl-C came while an extension
    ran Python code (CPython, pythonrun.c, `unhandled_keyboard_interrupt`).
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
