"""Limits on the number of connections, in all and per peer, and on stalled ones."""

import resource
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

_OWN_DESCRIPTORS = 64
_RESERVED_PLACES = 32
_DESCRIPTORS_PER_CONNECTION = 2  # its socket, and a file that is being sent


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one process. If `max_per_peer` is None, it is half of all connections."""

    max_connections: int
    max_per_peer: int | None
    head_timeout_s: float
    download_stall_s: float


class ConnectionSlot:
    """The slot of one connection, which is idle at first."""

    def __init__(self, pool: "_Pool", peer: str, close: Callable[[], None]) -> None:
        self._pool = pool
        self._close = close
        self._is_released = False
        self.peer = peer

    @property
    def is_reserved(self) -> bool:
        """Return whether this slot is for health probes only."""
        return self._pool.is_reserved

    def mark_busy(self) -> None:
        """Mark the connection as busy, so that it is not closed for another one."""
        self._pool.remove_idle(self)

    def mark_idle(self) -> None:
        """Mark the connection as idle: it may be closed when its slot is needed."""
        self.mark_busy()
        if not self._is_released:
            self._pool.add_idle(self)

    def release(self) -> None:
        """Release the slot; a second call does nothing."""
        self.mark_busy()
        if not self._is_released:
            self._is_released = True
            self._pool.release(self.peer)

    def take_back(self) -> None:
        """Release the slot, and close the connection."""
        self.release()
        self._close()


class ConnectionSlots:
    """The slots of all connections, counted by peer.

    Connections over the limits get one of a few reserved slots, in which only health probes are
    answered. No peer gets more than a quarter of these. At a limit, the connection that has been
    idle for the longest time is closed for the new one; at the limit of a peer, one of its own.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        """Raise the limit on file descriptors as far as needed."""
        most = _affordable(limits.max_connections)
        per_peer = max(1, most // 2) if limits.max_per_peer is None else limits.max_per_peer
        self._pools = (
            _Pool(most, per_peer),
            _Pool(_RESERVED_PLACES, _RESERVED_PLACES // 4, is_reserved=True),
        )

    def take(self, peer: str, close: Callable[[], None]) -> ConnectionSlot | None:
        """Return a slot for a new connection, or None if there is none.

        `close` closes the connection.
        """
        for pool in self._pools:
            if pool.take(peer):
                slot = ConnectionSlot(pool, peer, close)
                slot.mark_idle()
                return slot
        return None


class _Pool:
    def __init__(self, most: int, per_peer: int, *, is_reserved: bool = False) -> None:
        self.is_reserved = is_reserved
        self._idle: dict[ConnectionSlot, None] = {}  # idle for longest first
        self._idle_by_peer = defaultdict[str, dict[ConnectionSlot, None]](dict)
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

    def add_idle(self, slot: ConnectionSlot) -> None:
        self._idle[slot] = None
        self._idle_by_peer[slot.peer][slot] = None

    def remove_idle(self, slot: ConnectionSlot) -> None:
        if slot in self._idle:
            del self._idle[slot], self._idle_by_peer[slot.peer][slot]
            if not self._idle_by_peer[slot.peer]:
                del self._idle_by_peer[slot.peer]

    def _close_idle(self, peer: str | None = None) -> bool:
        """Close the connection that has been idle for the longest time, if there is one."""
        idle = self._idle if peer is None else self._idle_by_peer.get(peer, {})
        oldest = next(iter(idle), None)
        if oldest is not None:
            oldest.take_back()
        return oldest is not None

    def release(self, peer: str) -> None:
        self._taken -= 1
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]


def _affordable(connections: int) -> int:
    """Raise the limit on descriptors, and return the number of connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_DESCRIPTORS + _RESERVED_PLACES + _DESCRIPTORS_PER_CONNECTION * connections
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    free = allowed - _OWN_DESCRIPTORS - _RESERVED_PLACES
    return max(1, free // _DESCRIPTORS_PER_CONNECTION)
