"""Limits on connections: how many are taken, from one peer too, and how long each may stall."""

import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_OWN_DESCRIPTORS = 64
_RESERVED_PLACES = 32
_DESCRIPTORS_PER_CONNECTION = 2  # its socket, and a file that is sent


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one process. `max_per_peer` of None is half of all connections."""

    max_connections: int
    max_per_peer: int | None
    head_timeout_s: float
    download_stall_s: float


class ConnectionSlot:
    """The place of one connection. At first the connection is idle."""

    def __init__(self, pool: "_Pool", peer: str, close: Callable[[], None]) -> None:
        self._pool = pool
        self._close = close
        self._is_released = False
        self.peer = peer

    @property
    def is_reserved(self) -> bool:
        """Tell whether only health probes are answered here."""
        return self._pool.is_reserved

    def mark_busy(self) -> None:
        """Keep the connection: there is a request to answer."""
        self._pool.idle.pop(self, None)

    def mark_idle(self) -> None:
        """Let the connection be closed when others need its place."""
        self.mark_busy()
        if not self._is_released:
            self._pool.idle[self] = None

    def release(self) -> None:
        """Give the place back; the second time, do nothing."""
        self.mark_busy()
        if not self._is_released:
            self._is_released = True
            self._pool.release(self.peer)

    def take_back(self) -> None:
        """Give the place back, and close the connection."""
        self.release()
        self._close()


class ConnectionSlots:
    """Counts connections by peer.

    Connections beyond the limits get a place in a small reserve, in which only health probes are
    answered. No peer gets more than a quarter of the reserve. At a limit, the connection that has
    been idle for the longest time (of the same peer, where its own limit is reached) is closed for
    the new one.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        """Raise the limit on file descriptors as far as the connections need it."""
        most = _affordable(limits.max_connections)
        per_peer = max(1, most // 2) if limits.max_per_peer is None else limits.max_per_peer
        self._pools = (
            _Pool(most, per_peer),
            _Pool(_RESERVED_PLACES, _RESERVED_PLACES // 4, is_reserved=True),
        )

    def take(self, peer: str, close: Callable[[], None]) -> ConnectionSlot | None:
        """Return a place for a new connection, which `close` closes; None if there is none left."""
        for pool in self._pools:
            if pool.take(peer):
                slot = ConnectionSlot(pool, peer, close)
                slot.mark_idle()
                return slot
        return None


class _Pool:
    def __init__(self, most: int, per_peer: int, *, is_reserved: bool = False) -> None:
        self.is_reserved = is_reserved
        self.idle: dict[ConnectionSlot, None] = {}  # idle for longest first
        self._most = most
        self._per_peer = per_peer
        self._taken = 0
        self._by_peer = Counter[str]()

    def take(self, peer: str) -> bool:
        if self._by_peer[peer] >= self._per_peer and not self._close_idle(peer):
            return False
        if self._taken >= self._most and not self._close_idle():
            return False
        self._taken += 1
        self._by_peer[peer] += 1
        return True

    def _close_idle(self, peer: str | None = None) -> bool:
        """Close the connection that has been idle for the longest time, if there is one."""
        oldest = next((slot for slot in self.idle if peer in {None, slot.peer}), None)
        if oldest is not None:
            oldest.take_back()
        return oldest is not None

    def release(self, peer: str) -> None:
        self._taken -= 1
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]


def _affordable(connections: int) -> int:
    """Raise the limit on descriptors, and return the number of connections that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_DESCRIPTORS + _RESERVED_PLACES + _DESCRIPTORS_PER_CONNECTION * connections
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    free = allowed - _OWN_DESCRIPTORS - _RESERVED_PLACES
    return max(1, free // _DESCRIPTORS_PER_CONNECTION)
