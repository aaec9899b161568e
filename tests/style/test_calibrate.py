from app.style.calibrate import calibrate
from app.style.targets import StyleTargets


def test_a_calibration_is_positive_and_grows_with_the_picture(targets: StyleTargets) -> None:
    found = calibrate(targets)
    assert found.step_s >= 0
    assert found.pixel_s > 0
    assert found.network_bytes_per_px > 0
