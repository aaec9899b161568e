"""The OpenAPI document by itself; `make test-fuzz` compares the answers with it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app import __version__


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    found = client.get("/openapi.json").json()
    assert isinstance(found, dict)
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield f"{method} {path}", operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_the_version_is_the_programs(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == __version__


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert "#/components/schemas/Quality" in found
    for reference in found:
        node = document
        for word in reference.removeprefix("#/").split("/"):
            node = node[word]


def test_every_operation_has_a_name_and_explains_what_it_takes(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) == 37
    for where, operation in operations(document):
        assert operation["description"], where
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (where, parameter["name"])
            assert "null" not in str(parameter["schema"]), (where, parameter["name"])


def test_operations_with_one_tag_belong_together(document: dict[str, Any]) -> None:
    tagged: dict[str, set[str]] = {}
    for where, operation in operations(document):
        for tag in operation.get("tags", []):
            tagged.setdefault(tag, set()).add(where)
    assert tagged["health"] == {"get /health/live", "get /health/ready"}
    assert tagged["limits"] == {"get /limits"}
    assert tagged["metrics"] == {"get /metrics"}


def test_every_answer_has_its_headers(document: dict[str, Any]) -> None:
    for where, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], (where, status)
            if status in {"429", "507"}:
                assert answer["headers"]["Retry-After"]["required"], (where, status)
    made = document["paths"]["/stylize"]["post"]["responses"]["202"]
    assert {"Location", "Retry-After", "Preference-Applied"} < set(made["headers"])


def test_links_lead_to_operations(document: dict[str, Any]) -> None:
    names = {operation["operationId"] for _, operation in operations(document)}
    links = document["paths"]["/evaluate"]["post"]["responses"]["202"]["links"]
    assert {"show_job", "watch_job", "result", "cancel_job"} < set(links)
    assert {link["operationId"] for link in links.values()} < names


def test_form_schema_documents_exclusive_fields(document: dict[str, Any]) -> None:
    form = document["paths"]["/stylize"]["post"]["requestBody"]["content"]["multipart/form-data"]
    fields = form["schema"]["properties"]
    assert "woodcut" in fields["style_name"]["items"]["enum"]
    assert (fields["size"]["minimum"], fields["size"]["default"]) == (64, 512)
    assert all("description" in field for field in fields.values())
    assert "null" not in str(fields)
