"""What a soak calls growth, and its report."""

from pathlib import Path

from benchmarks.soak.clients import Answer
from benchmarks.soak.growth import growths
from benchmarks.soak.report import write_report
from benchmarks.soak.samples import PROCESSES, Holdings, Sample

MB = 1_000_000


def samples(minutes: int, web_bytes_per_s: float = 0, descriptors_per_s: float = 0) -> list[Sample]:
    steady = Holdings(100 * MB, 20, 10)

    def taken(at_s: float) -> Sample:
        grown = Holdings(
            round(800 * MB + at_s * web_bytes_per_s), round(20 + at_s * descriptors_per_s), 10
        )
        pids = {name: number for number, name in enumerate(PROCESSES)}
        return Sample(at_s, {**dict.fromkeys(PROCESSES, steady), "web": grown}, pids, MB)

    return [taken(5.0 * number) for number in range(12 * minutes + 1)]


def test_constant_values_do_not_count_as_growth() -> None:
    assert growths(samples(30)) == []


def test_steady_growth_is_reported_with_its_amount() -> None:
    (found,) = growths(samples(30, web_bytes_per_s=0.05 * MB))
    assert found.startswith("resident_bytes of web grew by 60,000,000 in 1,200 s")
    (found,) = growths(samples(30, descriptors_per_s=0.02))
    assert found.startswith("descriptors of web grew by 24")


def test_short_run_reports_no_growth() -> None:
    assert growths(samples(3, web_bytes_per_s=MB)) == []


def test_the_report_has_a_row_for_every_window_and_names_what_failed(tmp_path: Path) -> None:
    answers = [Answer(float(at), "classify", 200, 0.02) for at in range(600)]
    answers += [Answer(5, "look", 500, 0.1), Answer(6, "paint", 503, 0.1), Answer(7, "look", 0, 1)]
    complaints = write_report(tmp_path, samples(10), answers, tracebacks=1)
    assert complaints == [
        "look was answered 500",
        "look was not answered",
        "1 tracebacks in the log",
    ]
    text = (tmp_path / "soak.md").read_text()
    assert "| 0-5 | 303 | 20 | 20 | 20 | 1 | 1 | 1 | 800 |" in text
    assert "| 5-10 | 300 | 20 | 20 | 20 | 0 | 0 | 0 | 800 |" in text
    assert (tmp_path / "images/soak.svg").stat().st_size < 100_000
