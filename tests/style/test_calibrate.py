import pytest

from app.style.calibration import CalibrationInterruptedError, calibrate
from app.style.targets import StyleTargets


def test_calibration_is_positive_and_grows_with_the_image(targets: StyleTargets) -> None:
    found = calibrate(targets)
    assert found.step_s >= 0
    assert found.pixel_s > 0
    assert found.network_bytes_per_px > 0


def test_urgent_work_interrupts_the_calibration(targets: StyleTargets) -> None:
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    with pytest.raises(CalibrationInterruptedError):
        calibrate(targets, should_stop)
    assert len(asked) == 3
