"""The report of a soak: a table by windows, a picture, and what is wrong."""

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.soak.clients import Answer
from benchmarks.soak.growth import growths
from benchmarks.soak.picture import draw
from benchmarks.soak.samples import PROCESSES, Sample

_WINDOW_S = 300.0
_REFUSED = {429, 503, 507}
_HEAD = (
    "minutes | answers | p50 | p95 | p99 | refused | 5xx | none | web | worker | supervisor "
    "| descriptors | threads | disk"
)


def write_report(
    folder: Path, samples: Sequence[Sample], answers: Sequence[Answer], tracebacks: int
) -> list[str]:
    """Write `soak.md` and `images/soak.svg`; returns what is wrong."""
    complaints = [*_failures(answers, tracebacks), *_restarts(samples), *growths(samples)]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    draw(folder / "images/soak.svg", samples, answers)
    minutes = samples[-1].at_s / 60
    verdict = "\n".join(f"- {each}" for each in complaints) or "Nothing grew, and nothing failed."
    (folder / "soak.md").write_text(
        f"# {minutes:.0f} minutes of mixed load\n\n"
        "Written by `python -m benchmarks.soak`. Latencies are those of `POST /classify` with "
        "good pictures, one or four of them, in ms, while a worker paints and evaluates on the "
        "same host. Memory and disk in MB, at the end of each window; descriptors and threads are "
        "those of the web process; `none` are requests without an answer.\n\n"
        f"{_table(samples, answers)}\n\n{verdict}\n\n"
        f"{_deeds(answers)}\n\n![Memory, descriptors, disk and latency](images/soak.svg)\n"
    )
    return complaints


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which that part lies; nan of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else math.nan


def classified(answers: Sequence[Answer]) -> list[Answer]:
    """Return those whose latency is of interest."""
    return [each for each in answers if each.deed == "classify" and each.status == 200]


def is_failure(answer: Answer) -> bool:
    """Return whether the service should not have answered so."""
    return answer.status >= 500 and answer.status not in _REFUSED


def _failures(answers: Sequence[Answer], tracebacks: int) -> list[str]:
    failed = sorted({(each.deed, each.status) for each in answers if is_failure(each)})
    silent = sorted({each.deed for each in answers if each.status == 0})
    found = [f"{deed} was answered {status}" for deed, status in failed]
    found += [f"{deed} was not answered" for deed in silent]
    return [*found, *([f"{tracebacks} tracebacks in the log"] if tracebacks else [])]


def _restarts(samples: Sequence[Sample]) -> list[str]:
    pids = {name: {each.pids[name] for each in samples if name in each.pids} for name in PROCESSES}
    return [f"{name} was started {len(each)} times" for name, each in pids.items() if len(each) > 1]


def _table(samples: Sequence[Sample], answers: Sequence[Answer]) -> str:
    rows = [f"| {_HEAD} |", "|" + "---|" * _HEAD.count("|") + "---|"]
    for number in range(math.ceil(samples[-1].at_s / _WINDOW_S)):
        begin, end = number * _WINDOW_S, (number + 1) * _WINDOW_S
        inside = [each for each in answers if begin <= each.at_s < end]
        last = [each for each in samples if begin <= each.at_s < end][-1:]
        if last:
            rows.append(
                _row(f"{begin / 60:.0f}-{min(end, last[0].at_s) / 60:.0f}", inside, last[0])
            )
    return "\n".join(rows)


def _row(window: str, answers: Sequence[Answer], last: Sample) -> str:
    took_ms = [1000 * each.took_s for each in classified(answers)]
    memory = [
        f"{last.processes[name].resident_bytes / 1e6:.0f}" if name in last.processes else "-"
        for name in ("web", "worker", "supervisor")
    ]
    web = last.processes.get("web")
    cells = [
        window,
        f"{len(answers):,}",
        *(f"{percentile(took_ms, part):.0f}" for part in (0.5, 0.95, 0.99)),
        str(sum(each.status in _REFUSED for each in answers)),
        str(sum(map(is_failure, answers))),
        str(sum(each.status == 0 for each in answers)),
        *memory,
        *([str(web.descriptors), str(web.threads)] if web else ["-", "-"]),
        f"{last.disk_bytes / 1e6:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _deeds(answers: Sequence[Answer]) -> str:
    rows = ["| request | answers | by status |", "|---|---|---|"]
    for deed in sorted({each.deed for each in answers}):
        statuses = [each.status for each in answers if each.deed == deed]
        counts = ", ".join(f"{each}: {statuses.count(each):,}" for each in sorted(set(statuses)))
        rows.append(f"| {deed} | {len(statuses):,} | {counts} |")
    return "\n".join(rows)
