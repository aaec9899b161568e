"""Authentication by a key in `Authorization`, or by the session cookie of a browser.

Without keys, every caller is `ANONYMOUS`.
"""

import fcntl
import ipaddress
import os
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from app.api.problems import ApiError, ProblemType
from app.errors import AtelierError
from app.files import atomic_write
from app.keys import ApiKey, Keyring

ANONYMOUS = "anonymous"
COOKIE = "atelier_session"

_IPV6_SUBNET_BITS = 64  # the usual allocation of one client
_MAX_COOKIES = 200
_SECRET_BYTES = 32
_SECRET_FILE = "session-secret"  # noqa: S105 - its name


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="atelier"'}


class KeyRequiredError(ApiError):
    """The request has no key."""

    problem_type = ProblemType(401, "key_required", "A key is needed", headers=_CHALLENGE)


class UnknownKeyError(ApiError):
    """The key or the session is not valid."""

    problem_type = ProblemType(401, "unknown_key", "The key is not valid", headers=_CHALLENGE)


class NotAdminError(ApiError):
    """The key is not an administrator's."""

    problem_type = ProblemType(403, "not_admin", "Only for administrators")


class SecretError(AtelierError):
    """The secret that signs sessions cannot be stored."""


class Authenticator:
    """Authentication of callers, and sessions for browsers.

    A session names the key that opened it and ends with that key. Sessions are not stored.
    """

    def __init__(
        self,
        keyring: Keyring,
        admins: Collection[str],
        secret: str,
        session_ttl_s: int,
        *,
        is_local: bool = False,
    ) -> None:
        """Create.

        Args:
            keyring: the accepted keys.
            admins: the names of the administrators' keys.
            secret: the secret that signs sessions.
            session_ttl_s: the lifetime of a session.
            is_local: only this host can reach the service; without keys, every caller is then an
                administrator.
        """
        self.keyring = keyring
        self.session_ttl_s = session_ttl_s
        self._admins = admins
        self._is_local = is_local
        self._signer = URLSafeTimedSerializer(secret, salt=COOKIE)

    def caller(self, headers: Headers) -> str:
        """Return the name of the caller who sent these headers.

        Raises:
            KeyRequiredError: there is no key and no session.
            UnknownKeyError: the key or the session is not valid, or no longer.
        """
        if not self.keyring:
            return ANONYMOUS
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._found(key.strip()).name
        session = _cookies(headers.get("cookie", "")).get(COOKIE)
        if session is not None:
            return self._opened_by(session).name
        raise KeyRequiredError("Send a key: `Authorization: Bearer KEY`.")

    def open_session(self, key: str) -> str:
        """Return a session token that a browser may send instead of its key.

        Raises:
            UnknownKeyError: the key is not valid.
        """
        found = self._found(key)
        return str(self._signer.dumps(str(found)))

    def check_admin(self, caller: str) -> None:
        """Check that the caller is an administrator (without keys: that only this host has access).

        Raises:
            NotAdminError: the caller is not.
        """
        if not self.keyring and not self._is_local:
            raise NotAdminError(
                "others can reach this service, and it has no keys. Make a key, and name it in "
                "ATELIER_API_KEYS and ATELIER_ADMINS"
            )
        if self.keyring and caller not in self._admins:
            raise NotAdminError(
                f"{caller!r} is no administrator; the operator names those in ATELIER_ADMINS"
            )

    def _found(self, key: str) -> ApiKey:
        found = self.keyring.find(key)
        if found is None:
            raise UnknownKeyError("The key is not valid.")
        return found

    def _opened_by(self, session: str) -> ApiKey:
        try:
            entry = self._signer.loads(session, max_age=self.session_ttl_s)
        except BadData as error:
            raise UnknownKeyError("The session has expired. Sign in again.") from error
        for key in self.keyring.keys:
            if str(key) == entry:
                return key
        raise UnknownKeyError("The key of the session is no longer valid.")


def peer_of(client: Sequence[Any] | None) -> str:
    """Return the name of a peer: its IPv4 address, or its IPv6 subnet.

    Args:
        client: address and port, as in the ASGI scope. Clients without an IP address, such as those
            for which a proxy gives another name, share the peer "".
    """
    try:
        found = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_SUBNET_BITS), strict=False))


def flow_of(caller: str, client: Sequence[Any] | None) -> str:
    """Return the key of fair sharing: resources are divided among flows.

    It is the caller or, without keys, the peer.
    """
    return peer_of(client) or ANONYMOUS if caller == ANONYMOUS else caller


def _cookies(text: str) -> dict[str, str]:
    """Parse a Cookie header; one with more cookies than browsers send is ignored."""
    return cookie_parser(text) if text.count(";") < _MAX_COOKIES else {}


def kept_secret(folder: Path) -> str:
    """Return the secret that is kept in a folder; generate it the first time.

    Raises:
        SecretError: the secret can be neither read nor written, or it is damaged.
    """
    path = folder / _SECRET_FILE
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise SecretError(
            f"the secret that signs sessions cannot be kept in {path}: {error.strerror}; "
            "make it writable, or set ATELIER_SESSION_SECRET"
        ) from error
    if len(secret) < _SECRET_BYTES or not secret.isascii():
        raise SecretError(f"{path} is damaged: delete it, and everybody shows their key again")
    return secret.decode()


def _make_secret(path: Path) -> None:
    """Write a secret that only this user can read, unless another process was faster."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            with atomic_write(path, private=True) as file:
                file.write(secrets.token_urlsafe(_SECRET_BYTES).encode())
    finally:
        os.close(folder)
