"""Every error that latentdrift raises on purpose.

    LatentDriftError            exit code 1; the message is a sentence a user can act on
    ├── OptionError             an option has a value that is not allowed
    ├── InputError              a file, table or image that cannot be used as it is
    ├── CohortError             a cohort folder that is missing, incomplete or unfit for the job
    ├── BaseModelError          a base model that cannot be loaded or does not fit
    ├── AdapterError            an adapter that is damaged, foreign, or made for another base
    └── ResourceError           no disk, memory, or device for the job

A message says what was found, what is allowed, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LatentDriftError(Exception):
    """Root of the tree; `latentdrift` prints it as one sentence and exits with 1."""


class OptionError(LatentDriftError):
    """An option has a value that is not allowed."""


class InputError(LatentDriftError):
    """A file, table or image that cannot be used as it is."""


class CohortError(LatentDriftError):
    """A cohort folder that is missing, incomplete or unfit for the job."""


class BaseModelError(LatentDriftError):
    """A base model that cannot be loaded or does not fit."""


class AdapterError(LatentDriftError):
    """An adapter that is damaged, foreign, or made for another base."""


class ResourceError(LatentDriftError):
    """No disk, memory, or device for the job."""


def unknown(kind: str, value: str, known: Iterable[str]) -> OptionError:
    """Make the error for an unknown name: `unknown editor 'ddmi'; known: ddim, sdedit`.

    Args:
        kind: Noun of the name, as "editor".
        value: The unknown name.
        known: Known names.
    """
    names = sorted(known)
    near = get_close_matches(value, names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return OptionError(f"unknown {kind} '{value}'; known: {', '.join(names)}{hint}")
