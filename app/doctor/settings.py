"""Settings that are valid one by one, and do not fit together or to this host."""

import os
from collections.abc import Iterator

from app.cores import available_cores
from app.doctor.finding import Finding, ok, problem, warning
from app.settings import Settings
from app.vision.specs import SPECS

_BYTES_PER_PIXEL = 20  # of an image that is being decoded


def coherence(settings: Settings) -> Iterator[Finding]:
    """Compare the settings with each other, with the host, and with the names that there are."""
    found = [*_unknown(), *_sizes(settings), *_times(settings), *_hosts(settings)]
    yield from found or [ok("settings: fit together")]


def _unknown() -> Iterator[Finding]:
    known = {f"ATELIER_{name}".upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith("ATELIER_") and name.upper() not in known:
            yield warning(f"settings: there is no {name}", "docs/settings.md lists all of them")


def _sizes(settings: Settings) -> Iterator[Finding]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    held = settings.max_upload_bytes + _BYTES_PER_PIXEL * settings.max_decoding_pixels
    if held > memory:
        yield warning(
            f"settings: uploads may take {held / 1e9:.1f} of {memory / 1e9:.1f} GB of memory",
            "lower ATELIER_MAX_UPLOAD_BYTES or ATELIER_MAX_DECODING_PIXELS",
        )
    cores = available_cores()
    for name in ("compute_threads", "decode_threads"):
        count = getattr(settings, name)
        if count > cores:
            yield warning(
                f"settings: {count} threads on {cores} cores", f"lower ATELIER_{name.upper()}"
            )
    if settings.max_image_pixels > settings.max_decoding_pixels:
        yield warning(
            "settings: one image may have more pixels than all that are decoded at one time",
            "lower ATELIER_MAX_IMAGE_PIXELS, or raise ATELIER_MAX_DECODING_PIXELS",
        )
    if settings.max_queued_jobs_per_caller > settings.max_queued_jobs:
        yield warning(
            "settings: one caller may have more waiting jobs than there may be in all",
            "lower ATELIER_MAX_QUEUED_JOBS_PER_CALLER",
        )


def _times(settings: Settings) -> Iterator[Finding]:
    if settings.job_ttl_s < settings.result_ttl_s:
        yield warning(
            "settings: jobs are to be forgotten before their files",
            "raise ATELIER_JOB_TTL_S: a job is known for as long as it has files",
        )
    if settings.decode_timeout_s < settings.classify_deadline_s:
        yield warning(
            "settings: the web process restarts before an image is given up",
            "raise ATELIER_DECODE_TIMEOUT_S above ATELIER_CLASSIFY_DEADLINE_S",
        )
    if settings.default_model not in SPECS:
        yield warning(
            f"settings: there is no default model {settings.default_model!r}",
            f"set ATELIER_DEFAULT_MODEL to one of {', '.join(SPECS)}",
        )


def _hosts(settings: Settings) -> Iterator[Finding]:
    if settings.broker_url is not None and settings.blobs_url is None:
        yield warning(
            "settings: workers on other hosts find no files in this host's data directory",
            "set ATELIER_BLOBS_URL to an object store, unless all hosts mount that directory",
        )
    is_shared = not settings.database.startswith("sqlite")
    if is_shared and settings.keyring and settings.session_secret is None:
        yield problem(
            "settings: a browser's session has to be good for all hosts that share the database",
            "set ATELIER_SESSION_SECRET to the same 32 signs or more on each",
        )
