"""Start-time fair queueing: several flows of items get equal shares of the work.

The algorithm is that of Goyal, Vin and Cheng (SIGCOMM 1996). Each flow has a virtual time, which
grows by the cost of its items, and the flow whose virtual time is lowest is served next. A flow
that was idle continues from the virtual time of the item that was taken last: it gets no credit for
its idle time, and keeps its debt.

A full queue evicts items of its longest flow (McKenney's stochastic fairness queueing, 1990): one
flow may fill the queue, but never at the expense of another.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

_MAX_IDLE_FLOWS = 1000


class FairQueue(Generic[T]):
    """A fair queue of items by flow. It is not thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}  # of flows that are not idle
        self._times: dict[str, int] = {}  # virtual times by flow, including idle flows
        self._now = 0

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return sum(map(len, self._waiting.values()))

    def put(self, flow: str, item: T) -> None:
        """Add an item."""
        if flow not in self._waiting:
            self._times[flow] = max(self._now, self._times.get(flow, 0))
            self._waiting[flow] = deque()
            self._forget_flows()
        self._waiting[flow].append(item)

    def take(self) -> tuple[str, T]:
        """Remove and return the next flow and item. The caller charges the cost with `charge`."""
        flow = min(self._waiting, key=self._times.__getitem__)
        self._now = self._times[flow]
        item = self._waiting[flow].popleft()
        self._drop_empty(flow)
        return flow, item

    def charge(self, flow: str, cost: int) -> None:
        """Add to the virtual time of a flow. An item may be charged in several parts."""
        self._times[flow] = self._times.get(flow, self._now) + cost

    def remove(self, flow: str, item: T) -> bool:
        """Remove a waiting item; return False if it is no longer waiting."""
        if item not in self._waiting.get(flow, ()):
            return False
        self._waiting[flow].remove(item)
        self._drop_empty(flow)
        return True

    def evict_for(self, flow: str) -> T | None:
        """Remove and return the newest item of the longest flow, to make room for `flow`.

        Return None if no flow is longer than `flow` with one more item.
        """
        longest = max(self._waiting, key=lambda other: len(self._waiting[other]))
        if len(self._waiting[longest]) <= len(self._waiting.get(flow, ())) + 1:
            return None
        return self._waiting[longest].pop()  # the flow keeps other items

    def _drop_empty(self, flow: str) -> None:
        if not self._waiting[flow]:
            del self._waiting[flow]

    def _forget_flows(self) -> None:
        """Bound the number of idle flows: forget the half with the least debt."""
        if len(self._times) - len(self._waiting) <= _MAX_IDLE_FLOWS:
            return
        idle = sorted(self._times.keys() - self._waiting.keys(), key=self._times.__getitem__)
        for flow in idle[: len(idle) // 2]:
            del self._times[flow]
