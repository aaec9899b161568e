"""Keeps web pages of others from using the service through the browser of somebody who may.

A page can send a request to any address, and by DNS rebinding it can make its own name mean this
host. The browser then says in `Host` under which name it found the service, and in `Origin` or
`Sec-Fetch-Site` whose page is asking.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.errors import AtelierError

ANY = "*"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE = {"same-origin", "none"}  # none: typed, or a bookmark
_DEFAULT_PORTS = {"http": 80, "https": 443}


class UnknownHostError(AtelierError):
    """The service is not to be found under this name."""


class CrossSiteError(AtelierError):
    """The page of another site asks to change something."""


def check_host(headers: Headers, allowed: Collection[str]) -> None:
    """Refuse names that are not allowed. Addresses and `localhost` always are: nobody owns them.

    Raises:
        UnknownHostError: the browser found the service under another name.
    """
    name = _hostname(headers.get("host", ""))
    if ANY in allowed or name in {"", "localhost", *allowed} or _is_address(name):
        return
    raise UnknownHostError(
        f"the service does not answer to the name {name!r}; if it is to, "
        "its operator adds it to ATELIER_ALLOWED_HOSTS"
    )


def check_origin(method: str, headers: Headers) -> None:
    """Refuse what the page of another site asks for, but reading, which browsers keep from it.

    Raises:
        CrossSiteError: the browser says that it is such a page.
    """
    if method in _SAFE_METHODS:
        return
    origin = headers.get("origin")
    if origin is None:
        is_own = headers.get("sec-fetch-site", "none") in _OWN_SITE
    else:
        is_own = _is_at(origin, headers.get("host", ""))
    if not is_own:
        raise CrossSiteError("the request comes from the page of another site")


def _is_at(origin: str, host: str) -> bool:
    """Return whether an origin such as `https://example.org` is that of the host `example.org`."""
    try:
        asking = urlsplit(origin)
        asked = urlsplit(f"{asking.scheme}://{host}")
        port = _DEFAULT_PORTS.get(asking.scheme)
        return bool(asking.hostname) and (
            (asking.hostname, asking.port or port) == (asked.hostname, asked.port or port)
        )
    except ValueError:  # not a port, or not an address
        return False


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
