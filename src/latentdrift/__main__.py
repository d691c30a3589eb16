"""`python -m latentdrift` is `latentdrift`; it is also what `accelerate launch -m latentdrift` starts."""

import sys

from latentdrift.cli import main

if __name__ == "__main__":
    sys.exit(main())
