import pytest

from app.style.calibration import GivenUpError, calibrate
from app.style.targets import StyleTargets


def test_a_calibration_is_positive_and_grows_with_the_picture(targets: StyleTargets) -> None:
    found = calibrate(targets)
    assert found.step_s >= 0
    assert found.pixel_s > 0
    assert found.network_bytes_per_px > 0


def test_what_is_urgent_does_not_wait_for_the_measurement(targets: StyleTargets) -> None:
    asked: list[bool] = []

    def is_urgent() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    with pytest.raises(GivenUpError):
        calibrate(targets, is_urgent)
    assert len(asked) == 3
