"""Limits on connections: how many are taken, from one peer too, and how long each may stall."""

import ipaddress
import resource
from collections import Counter
from dataclasses import dataclass
from enum import Enum

_OWN_DESCRIPTORS = 64
_RESERVED_SLOTS = 32
_DESCRIPTORS_PER_CONNECTION = 2  # its socket, and a file that is sent
_IPV6_SUBNET_BITS = 64  # what one client usually has


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one process. `max_per_peer` of None is half of all connections."""

    max_connections: int
    max_per_peer: int | None
    head_timeout_s: float
    download_stall_s: float


class Slot(Enum):
    """A place among the connections."""

    ORDINARY = "ordinary"
    RESERVED = "reserved"  # for health probes


class Slots:
    """Counts connections by peer.

    Connections beyond the limits get a slot of a small reserve, in which only health probes are
    answered. No peer gets more than half of the reserve.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        """Raise the limit on file descriptors as far as the connections need it."""
        most = _affordable(limits.max_connections)
        per_peer = max(1, most // 2) if limits.max_per_peer is None else limits.max_per_peer
        self._pools = {
            Slot.ORDINARY: _Pool(most, per_peer),
            Slot.RESERVED: _Pool(_RESERVED_SLOTS, _RESERVED_SLOTS // 2),
        }

    def take(self, peer: str) -> Slot | None:
        """Return a slot for a new connection; None if there is none left."""
        return next((slot for slot, pool in self._pools.items() if pool.take(peer)), None)

    def release(self, slot: Slot, peer: str) -> None:
        """Give a slot back."""
        self._pools[slot].release(peer)


class _Pool:
    def __init__(self, most: int, per_peer: int) -> None:
        self._most = most
        self._per_peer = per_peer
        self._taken = 0
        self._by_peer = Counter[str]()

    def take(self, peer: str) -> bool:
        if self._taken >= self._most or self._by_peer[peer] >= self._per_peer:
            return False
        self._taken += 1
        self._by_peer[peer] += 1
        return True

    def release(self, peer: str) -> None:
        self._taken -= 1
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]


def peer_of(address: str) -> str:
    """Return the name under which a client is counted: its IPv4 address, or its IPv6 subnet."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_SUBNET_BITS), strict=False))


def _affordable(connections: int) -> int:
    """Raise the limit on descriptors, and return the number of connections that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_DESCRIPTORS + _RESERVED_SLOTS + _DESCRIPTORS_PER_CONNECTION * connections
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    free = allowed - _OWN_DESCRIPTORS - _RESERVED_SLOTS
    return max(1, free // _DESCRIPTORS_PER_CONNECTION)
