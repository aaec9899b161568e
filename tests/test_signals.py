import threading

from app.runtime.signals import setter_for_signal_handlers
from tests.patience import patient


def test_event_is_set_from_a_handler_that_interrupts_its_own_lock() -> None:
    event = threading.Event()
    set_event = setter_for_signal_handlers(event)
    with event._cond:  # type: ignore[attr-defined]  # as when the signal comes within `wait`
        set_event()
        assert not event.is_set()
    assert event.wait(patient())
