"""CSRF and DNS-rebinding protection.

A page of another site can make a browser send requests to any address, and by DNS rebinding it can
point its own name to this host. The browser reports the name in `Host`, and the page's origin in
`Origin` or `Sec-Fetch-Site`.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.api.problems import ApiError, ProblemType

ANY = "*"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE = {"same-origin", "none"}  # none: an address that was typed, or a bookmark
_DEFAULT_PORTS = {"http": 80, "https": 443}


class UnknownHostError(ApiError):
    """The host name is not one of the service's."""

    problem_type = ProblemType(421, "unknown_host", "The service has another name")


class CrossSiteError(ApiError):
    """A page of another site sent a request that changes something."""

    problem_type = ProblemType(403, "cross_site", "The request comes from another site")


def check_host(headers: Headers, allowed: Collection[str]) -> None:
    """Refuse host names that are not allowed. Addresses and `localhost` are always allowed.

    Raises:
        UnknownHostError: the name is not allowed.
    """
    name = _hostname(headers.get("host", ""))
    if ANY in allowed or name in {"", "localhost", *allowed} or _is_address(name):
        return
    raise UnknownHostError(
        f"the service does not answer to the name {name!r}; if it is to, "
        "its operator adds it to ATELIER_ALLOWED_HOSTS"
    )


def check_origin(method: str, headers: Headers) -> None:
    """Refuse requests from pages of other sites, except reads, whose responses browsers withhold.

    Raises:
        CrossSiteError: the browser reports another site.
    """
    if method in _SAFE_METHODS:
        return
    origin = headers.get("origin")
    if origin is None:
        is_own = headers.get("sec-fetch-site", "none") in _OWN_SITE
    else:
        is_own = _is_at(origin, headers.get("host", ""))
    if not is_own:
        raise CrossSiteError("The request comes from a page of another site.")


def _is_at(origin: str, host: str) -> bool:
    """Return whether an origin such as `https://example.org` has the host `example.org`."""
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
