import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.patience import patient
from tests.service import ROOT
from tools import settings_docs


def test_page_of_the_settings_is_up_to_date() -> None:
    assert settings_docs.TARGET.read_text() == settings_docs.page()


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `ATELIER_(\w+)` \| (.*?) \|", settings_docs.page(), re.MULTILINE))
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        if isinstance(field.default, int | float | str):
            assert rows[name].strip("`").replace("_", "") == str(field.default), name


def test_documented_defaults_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r"^\| `(ATELIER_\w+)` \| `(.+?)` \|", settings_docs.page(), re.MULTILINE)
    computed = {"ATELIER_MODELS_DIR", "ATELIER_COMPUTE_THREADS", "ATELIER_DECODE_THREADS"}
    for name in [name for name in os.environ if name.startswith("ATELIER_")]:
        monkeypatch.delenv(name)
    defaults = Settings().model_dump()
    for name, shown in rows:
        if name not in computed:
            monkeypatch.setenv(name, shown)
    assert len(rows) > 60
    assert Settings().model_dump() == defaults


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_MAX_BATCH", "7")
    monkeypatch.setenv("ATELIER_DATA_DIR", "/somewhere")
    settings = Settings()
    assert settings.max_batch == 7
    assert settings.data_dir == Path("/somewhere")
    with pytest.raises(ValidationError):
        settings.max_batch = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "99999", "less than or equal to 65535"),
        ("MAX_BATCH", "0", "greater than 0"),
        ("MAX_BATCH", "many", "valid integer"),
        ("MAX_IMAGE_PIXELS", "1000000000", "less than or equal"),
        ("MAX_REQUEST_BYTES", "10", "max_image_bytes <= max_request_bytes"),
        ("MAX_QUEUE", "5", "max_request_files <= max_queue"),
        ("SHUTDOWN_GRACE_S", "inf", "finite number"),
        ("LOG_FORMAT", "xml", "'console' or 'json'"),
        ("API_KEYS", "ann", "key new NAME"),
        ("ADMINS", "ann", "admins without a key"),
        ("DEVICE", "gpu", "auto, cpu, cuda"),
        ("BROKER_URL", "amqp://me:secret@host//", "cannot share SQLite"),
        ("BROKER_URL", "kafka://host", "expected amqp://"),
        ("BROKER_URL", "redis://host:port", "expected amqp://"),
    ],
)
def test_invalid_setting_is_named(name: str, value: str, words: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app", "web"],
        cwd=ROOT,
        env=os.environ
        | {"ATELIER_PORT": "0", "ATELIER_DATA_DIR": str(tmp_path)}
        | {f"ATELIER_{name}": value},
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
