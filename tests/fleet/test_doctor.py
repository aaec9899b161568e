"""`python -m app doctor` checks the servers of a fleet."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.doctor.finding import Level
from app.doctor.storage import broker as check_broker
from app.doctor.storage import object_store
from app.settings import Settings
from tests.fleet.brokers import BrokerServer
from tests.fleet.door import Door
from tests.fleet.s3 import BUCKET, environment
from tests.patience import patient

pytestmark = pytest.mark.fleet


def test_unreachable_broker_is_a_problem(broker: BrokerServer, postgres_url: str) -> None:
    settings = Settings(
        database_url=postgres_url, broker_url=SecretStr(broker.url), broker_timeout_s=patient(1)
    )
    (found,) = check_broker(settings)
    assert (found.level, "answers" in found.what) == (Level.OK, True)
    with broker.stopped():
        (found,) = check_broker(settings)
    assert found.level is Level.PROBLEM
    assert "ATELIER_BROKER_URL" in found.advice
    assert "guest:guest" not in str(found)


def test_unreachable_object_store_is_a_problem(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(door).items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        data_dir=tmp_path, blobs_url=f"s3://{BUCKET}/files", blobs_timeout_s=patient(0.5)
    )
    (found,) = object_store(settings)
    assert found.level is Level.OK
    with door.shut():
        (found,) = object_store(settings)
    assert found.level is Level.PROBLEM
    assert "ATELIER_BLOBS_URL" in found.advice
    elsewhere = settings.model_copy(update={"blobs_url": "s3://no-such-bucket/files"})
    (found,) = object_store(elsewhere)
    assert found.level is Level.PROBLEM
    assert "NoSuchBucket" in found.what


def test_single_host_has_no_broker_and_no_object_store() -> None:
    assert [*check_broker(Settings()), *object_store(Settings())] == []
