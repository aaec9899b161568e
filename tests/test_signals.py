import threading

from app.runtime.signals import set_from_signal_handler
from tests.patience import patient


def test_event_is_set_from_a_handler_that_interrupts_its_own_lock() -> None:
    event = threading.Event()
    with event._cond:  # type: ignore[attr-defined]  # as when the signal comes within `wait`
        set_from_signal_handler(event)
        assert not event.is_set()
    assert event.wait(patient())
