"""`python -m latentdrift` is `latentdrift`; it is also what `accelerate launch -m latentdrift`
starts.

Nothing is imported before signals are in order, and they stay so until the interpreter is gone.
"""

from __future__ import annotations

import sys

from latentdrift import stopping


def main() -> int:
    """Entry point of the `latentdrift` command: the exit code, 130 from the first moment to the
    last where Ctrl-C came."""
    stopping.leave_at_once()
    from latentdrift.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
