"""Who the patients are stays outside the cohort: salted pseudonyms, and names of files without the identity they carry."""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latentdrift.errors import OptionError

_UID = re.compile(r"\d+(\.\d+){4,}")  # a DICOM unique identifier (PS3.5 9)
_DATE = re.compile(r"(?<!\d)(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")  # YYYYMMDD


def pseudonym(salt: str, patient: str) -> str:
    """`p-` and 48 bits of HMAC-SHA256 (RFC 2104): the same patient gets the same name under the same salt, and only then."""
    return "p-" + hmac.new(salt.encode(), patient.encode(), hashlib.sha256).hexdigest()[:12]


PrivateTable = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Header and rows."""


class Mask:
    """Takes identity out of relative paths before they are written into a cohort.

    Known patient ids, and whatever else has their form (`OAS2_0007` where `OAS2_0001` is a patient), become pseudonyms; unique
    identifiers and dates become `uid` and `date`. Leading zeros do not hide a number. Where ids are bare numbers, a number of
    three or four digits counts if it is a patient's, a longer one always, a shorter one never.
    """

    def __init__(self, salt: str, patients: Iterable[str]) -> None:
        self.salt = salt
        forms = {_form(patient) for patient in patients}
        self.known = {patient.lstrip("0").casefold(): patient for patient in patients}
        self.pattern = re.compile("|".join(sorted(forms, key=len, reverse=True)), re.IGNORECASE) if forms else None

    def __call__(self, path: str) -> str:
        masked = _DATE.sub("date", _UID.sub("uid", path))
        return self.pattern.sub(self._replace, masked) if self.pattern else masked

    def _replace(self, found: re.Match[str]) -> str:
        text = found[0].lstrip("0")
        if text.isdigit() and len(found[0]) < 5 and text not in self.known:
            return found[0]
        return pseudonym(self.salt, self.known.get(text.casefold(), text))


def _form(patient: str) -> str:
    """A regular expression for ids built like this one: same letters, as many digits; a bare number of any length from 3."""
    if patient.isdigit():
        return r"(?<!\d)\d{3,}(?!\d)"
    parts = [rf"\d{{{len(part)}}}" if part.isdigit() else re.escape(part) for part in re.split(r"(\d+)", patient)]
    return r"(?<![A-Za-z0-9])" + "".join(parts) + r"(?![0-9])"


def private_folder(out: Path) -> Path:
    """Beside the cohort, never in it."""
    return out.with_name(out.name + "-private")


def choose_salt(out: Path, given: str | None) -> str:
    """The given salt, else the one that an earlier import to the same place used, else a fresh one.

    Raises:
        OptionError: The given salt is empty.
    """
    if given is not None and not given.strip():
        raise OptionError("the salt is empty; give --salt a secret of your own, or leave it out for a random one")
    earlier = private_folder(out) / "salt.txt"
    if given is None and earlier.is_file():
        return earlier.read_text(encoding="utf-8").strip()
    return given if given is not None else secrets.token_hex(32)


def write_private(out: Path, salt: str, tables: Mapping[str, PrivateTable]) -> Path:
    """Write the salt and the tables (file name -> header, rows) that lead back to the patients; only the owner may read them."""
    folder = private_folder(out)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write(folder / "salt.txt", salt + "\n")
    for name, (header, rows) in tables.items():
        target = folder / name
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(header)
            writer.writerows(rows)
        target.chmod(0o600)
    return folder


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    path.chmod(0o600)
