"""Pseudonymization: salted pseudonyms in the cohort, and the identities in a private folder beside
it."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentdrift.data.tables.cells import defuse, restore
from latentdrift.errors import OptionError
from latentdrift.storage import write_text

SHORTEST_ID = 4
"""Characters of a patient's id from which a text that holds it is taken to repeat it."""
IDENTIFIERS = {
    "AccessionNumber",
    "AdmissionID",
    "BranchOfService",
    "CountryOfResidence",
    "FillerOrderNumberImagingServiceRequest",
    "InsurancePlanIdentification",
    "IssuerOfPatientID",
    "MedicalRecordLocator",
    "MilitaryRank",
    "Occupation",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientComments",
    "PatientID",
    "PatientTelephoneNumbers",
    "PerformedProcedureStepID",
    "PlacerOrderNumberImagingServiceRequest",
    "RegionOfResidence",
    "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "ServiceEpisodeID",
    "StudyID",
}
"""Header fields, beside names of persons and unique identifiers, that lead to a patient (PS3.15
table E.1-1)."""


def identifies(keyword: str) -> bool:
    """Whether a DICOM field identifies the patient, directly or through an identifier.

    Args:
        keyword: DICOM keyword.
    """
    from pydicom.datadict import dictionary_VR

    kind = dictionary_VR(keyword)
    names_an_instance = kind == "UI" and not keyword.endswith(("ClassUID", "SyntaxUID"))
    return kind == "PN" or names_an_instance or keyword in IDENTIFIERS


def patient_key(patient: str) -> str:
    """Normalised patient id: `AB-01`, `ab-01` and ` AB-01 ` are one patient."""
    return "".join(unicodedata.normalize("NFKC", patient).split()).upper()


def repeats(text: str, patient: str) -> bool:
    """Whether a text contains a patient's id, in any case; ids under SHORTEST_ID characters never
    count.

    Args:
        text: The text.
        patient: The id.
    """
    return len(patient) >= SHORTEST_ID and patient.casefold() in text.casefold()


def pseudonym(salt: str, patient: str) -> str:
    """Pseudonym of a patient: `p-` and 48 bits of HMAC-SHA256 (RFC 2104).

    Equal patients have equal pseudonyms only under an equal salt.

    Args:
        salt: Secret.
        patient: Id of the patient.
    """
    return (
        "p-"
        + hmac.new(salt.encode(), patient_key(patient).encode(), hashlib.sha256).hexdigest()[:12]
    )


PrivateTable = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Header and rows."""


def read_private(out: Path, name: str) -> list[dict[str, str]]:
    """Read a table of the private folder; empty where there is none.

    Args:
        out: Folder of the cohort.
        name: File name of the table.
    """
    path = private_folder(out) / name
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as handle:
        return [
            {title: restore(cell) for title, cell in row.items()} for row in csv.DictReader(handle)
        ]


def private_folder(out: Path) -> Path:
    """Folder for identities beside the cohort `out`, never in it."""
    return out.with_name(out.name + "-private")


def choose_salt(out: Path, given: str | None) -> str:
    """Salt of an import: the given one, else that of an earlier import to this place, else a random
    one.

    Args:
        out: Folder of the cohort.
        given: Option `salt`; None: not given.

    Raises:
        OptionError: The given salt is empty.
    """
    if given is not None and not given.strip():
        raise OptionError(
            "the salt is empty; give `salt` a secret of your own, or leave it out for a random one"
        )
    if given is not None:
        return given
    place = private_folder(out) / "salt.txt"
    earlier = place.read_text(encoding="utf-8").strip() if place.is_file() else ""
    return earlier or secrets.token_hex(32)  # an empty file is what a full disk left, and no secret


def write_private(out: Path, salt: str, tables: Mapping[str, PrivateTable]) -> Path:
    """Write the salt and tables that identify the patients; only the owner may read them.

    Args:
        out: Folder of the cohort.
        salt: The salt.
        tables: File name -> header and rows.

    Returns:
        The private folder.
    """
    folder = private_folder(out)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    write_text(folder / "salt.txt", salt + "\n", mode=0o600)
    for name, (header, rows) in tables.items():
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows(
            [defuse(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
        )
        write_text(folder / name, text.getvalue(), mode=0o600)
    return folder
