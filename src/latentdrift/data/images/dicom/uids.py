"""DICOM unique identifiers under a secret: one source always gives the same new UID, and only the
secret's owner can go back."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from latentdrift.storage import write_text

FILES = {"salt": "salt.txt", "map": "uids.csv"}
"""Files of the private folder: the secret, and every UID beside its replacement."""


@dataclass(frozen=True)
class Uids:
    """New UIDs for those of source files.

    Attributes:
        salt: The secret.
        folder: Where the secret and the map are kept; None keeps neither.
        known: (keyword, UID of the source) -> new UID.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    folder: Path | None = None
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Uids:
        """Open the UIDs of a private folder, with its secret or a new one.

        Nothing is written before `save`.

        Args:
            folder: The folder; it need not exist.
        """
        salt = folder / FILES["salt"]
        pairs = folder / FILES["map"]
        known: dict[tuple[str, str], str] = {}
        if pairs.is_file():
            with open(pairs, encoding="utf-8", newline="") as file:
                known = {
                    (row["keyword"], row["source"]): row["uid"] for row in csv.DictReader(file)
                }
        earlier = salt.read_text(encoding="utf-8").strip() if salt.is_file() else ""
        if earlier:  # an empty file is what a full disk left, and no secret
            return cls(earlier, folder, known)
        return cls(folder=folder, known=known)

    def map(self, keyword: str, uid: str) -> str:
        """Map a source UID to its new UID, and remember the pair.

        It is 128 bits of HMAC-SHA256 (RFC 2104) as a UUID-derived UID (PS3.5 B.2).

        Args:
            keyword: DICOM keyword of the UID's attribute.
            uid: The source UID; it need not be valid.
        """
        digest = hmac.new(self.salt.encode(), f"{keyword} {uid}".encode(), hashlib.sha256).digest()
        new = f"2.25.{int.from_bytes(digest[:16], 'big')}"
        self.known[keyword, uid] = new
        return new

    def save(self) -> None:
        """Write the secret and the map with permissions for the owner only.

        Nothing is written without a folder, or where no UID was mapped.
        """
        if self.folder is None or not self.known:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        write_text(self.folder / FILES["salt"], self.salt + "\n", mode=0o600)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("keyword", "source", "uid"))
        writer.writerows((*source, uid) for source, uid in self.known.items())
        write_text(self.folder / FILES["map"], text.getvalue(), mode=0o600)
