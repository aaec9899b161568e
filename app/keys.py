"""API keys: how one is made, and how the one that a client shows is recognised.

The service knows the SHA-256 digests only. A key is 32 random bytes, so that its digest needs no
salt and no slow hash.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

_PREFIX = "atelier_"  # by which scanners of leaked secrets, and people, know a key
_ENTRY = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<digest>[0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class ApiKey:
    """A key as the service knows it: whose it is, and its digest in hexadecimal."""

    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}"


@dataclass(frozen=True)
class Keyring:
    """Every key that the service accepts. A name may have several, while one replaces another."""

    keys: tuple[ApiKey, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read `NAME:DIGEST` entries, separated by spaces or commas.

        Raises:
            ValueError: one is something else; the message does not repeat it.
        """
        return cls(tuple(_entries(text)))

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, key: str) -> ApiKey | None:
        """Recognise a key, in a time that tells nothing of how close it came."""
        digest = digest_of(key)
        matching = [each for each in self.keys if hmac.compare_digest(each.digest, digest)]
        return matching[0] if matching else None


def new_key() -> str:
    """Make a key up."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what the service keeps of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def entry_for(name: str, key: str) -> ApiKey:
    """Describe a key to the service.

    Raises:
        ValueError: the name has other characters than letters, digits, and `_.-`.
    """
    (entry,) = Keyring.parse(f"{name}:{digest_of(key)}").keys
    return entry


def _entries(text: str) -> Iterator[ApiKey]:
    for number, entry in enumerate(text.replace(",", " ").split(), start=1):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(
                f"entry {number} is not NAME:DIGEST, a name of letters, digits and _.- with the "
                "SHA-256 of its key in lower-case hexadecimal; `python -m app key new NAME` makes "
                "both"
            )
        yield ApiKey(match["name"], match["digest"])
