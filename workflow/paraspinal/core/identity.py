"""Who is who, without names: keyed hashes, and the only builder and parser of file names.

A plain hash of a seven-digit patient number is reversed in half a second; a keyed one is not. The key lives in
a private folder outside the results, is made on first use and is refused when others may read it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from paraspinal.core.errors import IdentityError

KEY_BYTES = 32
SUBJECT_LENGTH = 12
"""Characters of base32 (60 bits): a collision among a million people has a chance of 4e-7."""
SHORT_LENGTH = 10
"""Characters for sessions, stacks and sites, which need to be unique within one cohort only."""


class Identity:
    """Keyed pseudonyms; equal input gives an equal pseudonym under one key and an unrelated one under another."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise IdentityError("the identity key is too short", hint="restore it from a backup")
        self._key = key

    @classmethod
    def load(cls, private_dir: Path) -> Identity:
        """Read ``identity.key`` in the private folder, creating both on first use.

        Raises IdentityError if the key can be read by group or others, or cannot be read at all.
        """
        path = private_dir / "identity.key"
        try:
            private_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            else:
                with os.fdopen(descriptor, "w") as handle:
                    handle.write(secrets.token_hex(KEY_BYTES))
                    handle.flush()
                    os.fsync(handle.fileno())
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise IdentityError("the identity key can be read by other users", hint="chmod 600 identity.key")
            return cls(bytes.fromhex(path.read_text()))
        except OSError as error:
            hint = "set private_dir to a folder that you can write to; by default it is in HOME"
            raise IdentityError(f"the private folder cannot be used: {error.strerror}", hint) from None
        except ValueError:
            raise IdentityError("the identity key is damaged", hint="restore it from a backup") from None

    @property
    def key_id(self) -> str:
        """What tells this key from another without giving anything of it away."""
        return self.pseudonym("key", "")

    def pseudonym(self, kind: str, text: str, length: int = SHORT_LENGTH) -> str:
        """Hash ``text`` under the key; lower-case letters and digits, ``kind`` separates name spaces."""
        digest = hmac.new(self._key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        return base64.b32encode(digest).decode().lower()[:length]

    def subject(self, patient_id: str) -> str:
        """Pseudonym of a person, the value of the BIDS entity ``sub``."""
        return self.pseudonym("subject", patient_id.strip(), SUBJECT_LENGTH)

    def session(self, patient_id: str, visit: str) -> str:
        """Pseudonym of a visit (study date, or study UID where there is none), the value of ``ses``."""
        return self.pseudonym("session", f"{patient_id.strip()}\0{visit}")


_LABEL = re.compile(r"[A-Za-z0-9]+")
_ENTITIES = (("subject", "sub"), ("session", "ses"), ("acquisition", "acq"), ("description", "desc"))


@dataclass(frozen=True)
class BidsName:
    """A BIDS(-derivatives) file name; labels are letters and digits only.

    ``subject`` etc. are the values without their prefix. ``suffix`` is T1w, T2w, dixon, dseg, ...
    """

    subject: str
    session: str
    acquisition: str
    suffix: str
    description: str = ""

    def __post_init__(self) -> None:
        for field, _ in _ENTITIES:
            value = getattr(self, field)
            if not (_LABEL.fullmatch(value) or (field == "description" and value == "")):
                raise ValueError(f"not a BIDS label for {field}")
        if not _LABEL.fullmatch(self.suffix):
            raise ValueError("not a BIDS suffix")

    @property
    def stem(self) -> str:
        """File name without extension."""
        parts = [f"{key}-{getattr(self, field)}" for field, key in _ENTITIES if getattr(self, field)]
        return "_".join([*parts, self.suffix])

    def path(self, extension: str = ".nii.gz") -> str:
        """Path relative to the results folder."""
        return f"images/sub-{self.subject}/ses-{self.session}/anat/{self.stem}{extension}"

    def derive(self, suffix: str, description: str) -> BidsName:
        """Name something made from this image: same entities, other suffix and description."""
        return replace(self, suffix=suffix, description=description)

    @classmethod
    def parse(cls, stem: str) -> BidsName:
        """Read a stem back; raises ValueError if it is not one of this package."""
        *entities, suffix = stem.split("_")
        found = dict(part.split("-", 1) for part in entities if "-" in part)
        known = {key: field for field, key in _ENTITIES}
        if len(found) != len(entities) or not set(found) <= set(known):
            raise ValueError("not a name of this project")
        return cls(suffix=suffix, **{known[key]: value for key, value in found.items()})
