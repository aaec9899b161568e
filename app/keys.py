"""API keys: generation and verification.

The service only knows the SHA-256 digests. A key has 32 random bytes, so its digest needs no salt
and no slow hash.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

_PREFIX = "atelier_"  # lets people and secret scanners recognize a key
_ENTRY = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<digest>[0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class ApiKey:
    """A key as the service knows it: the owner's name, and the digest in hexadecimal."""

    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}"


@dataclass(frozen=True)
class Keyring:
    """All keys that the service accepts. A name may have several during a rotation."""

    keys: tuple[ApiKey, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Parse `NAME:DIGEST` entries, separated by spaces or commas.

        Raises:
            ValueError: an entry is malformed; the message does not quote it.
        """
        return cls(tuple(_entries(text)))

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, key: str) -> ApiKey | None:
        """Return the matching key, in constant time."""
        digest = digest_of(key)
        matching = [each for each in self.keys if hmac.compare_digest(each.digest, digest)]
        return matching[0] if matching else None


def new_key() -> str:
    """Generate a key."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return the digest of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def entry_for(name: str, key: str) -> ApiKey:
    """Return the service's entry for a key.

    Raises:
        ValueError: the name has characters other than letters, digits, and `_.-`.
    """
    (entry,) = Keyring.parse(f"{name}:{digest_of(key)}").keys
    return entry


def _entries(text: str) -> Iterator[ApiKey]:
    for number, entry in enumerate(text.replace(",", " ").split(), start=1):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(
                f"entry {number} is not NAME:DIGEST, a name of letters, digits and _.- with the "
                "SHA-256 of its key in lower-case hexadecimal; `python -m app key new NAME` prints "
                "one"
            )
        yield ApiKey(match["name"], match["digest"])
