"""Jobs as a web process would order them."""

import uuid
from typing import Any

from app.jobs.job import JobKind, NewJob


def order(owner: str = "ann", **values: Any) -> NewJob:
    """A job whose every value may be chosen."""
    usual: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "kind": JobKind.STYLIZE,
        "owner": owner,
        "options": {"size": 64},
        "inputs": {"content": "jobs/x/0/content"},
    }
    return NewJob(**(usual | values))
