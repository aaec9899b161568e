"""Who is calling: by the key in `Authorization`, or by the cookie that a browser got for its key.

Without keys everybody is `ANONYMOUS`.
"""

import fcntl
import os
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from app.errors import AtelierError
from app.jobs.storage.atomic import write
from app.keys import ApiKey, Keyring
from app.runtime.connections import peer_of

ANONYMOUS = "anonymous"
COOKIE = "atelier_session"

_MAX_COOKIES = 200
_SECRET_BYTES = 32
_SECRET_FILE = "session-secret"  # noqa: S105 - its name


class KeyRequiredError(AtelierError):
    """The request comes without a key."""


class UnknownKeyError(AtelierError):
    """The key, or the session, is none of this service's."""


class NotAdminError(AtelierError):
    """The key is not one of an administrator."""


class SecretError(AtelierError):
    """There is no place for the secret that signs sessions."""


class Identification:
    """Recognises callers, and makes sessions for browsers.

    A session names the key that opened it, and ends with it: nothing is stored.
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
            keyring: the keys that are accepted.
            admins: names of those that are administrators'.
            secret: what signs sessions.
            session_ttl_s: how long a session is good for.
            is_local: only this host reaches the service; without keys, everybody there is an
                administrator.
        """
        self.keyring = keyring
        self.session_ttl_s = session_ttl_s
        self._admins = admins
        self._is_local = is_local
        self._signer = URLSafeTimedSerializer(secret, salt=COOKIE)

    def caller(self, headers: Headers) -> str:
        """Return the name of whoever sends these headers.

        Raises:
            KeyRequiredError: they have no key, and no session.
            UnknownKeyError: they have one that is not valid, or no longer.
        """
        if not self.keyring:
            return ANONYMOUS
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._found(key.strip()).name
        session = _cookies(headers.get("cookie", "")).get(COOKIE)
        if session is not None:
            return self._opened_by(session).name
        raise KeyRequiredError("send a key: `Authorization: Bearer KEY`")

    def open_session(self, key: str) -> str:
        """Return what a browser may show instead of its key.

        Raises:
            UnknownKeyError: it is not one of the keys.
        """
        found = self._found(key)
        return str(self._signer.dumps(str(found)))

    def check_admin(self, caller: str) -> None:
        """Let administrators pass; without keys, everybody if only this host reaches the service.

        Raises:
            NotAdminError: the caller is none.
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
            raise UnknownKeyError("this is not one of the service's keys")
        return found

    def _opened_by(self, session: str) -> ApiKey:
        try:
            entry = self._signer.loads(session, max_age=self.session_ttl_s)
        except BadData as error:
            raise UnknownKeyError("the session has ended; show the key again") from error
        for key in self.keyring.keys:
            if str(key) == entry:
                return key
        raise UnknownKeyError("the session's key is no longer valid")


def flow_of(caller: str, client: Sequence[Any] | None) -> str:
    """Return the name under which a request shares with others what there is not enough of.

    It is the caller; where there are no keys, the peer that the client is counted as.
    """
    return peer_of(client) or ANONYMOUS if caller == ANONYMOUS else caller


def _cookies(text: str) -> dict[str, str]:
    """Parse a Cookie header; none with more cookies than browsers send, as that takes long."""
    return cookie_parser(text) if text.count(";") < _MAX_COOKIES else {}


def kept_secret(folder: Path) -> str:
    """Return the secret that is kept in a folder; the first time, make it up.

    Raises:
        SecretError: it can be neither read nor written, or is damaged.
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
    """Write a secret, readable by us only, unless another process is faster."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            write(path, secrets.token_urlsafe(_SECRET_BYTES).encode())
    finally:
        os.close(folder)
