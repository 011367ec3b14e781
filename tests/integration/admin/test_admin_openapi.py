"""The API's description: what it says is so."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from admin import app
from tests.integration.admin.harness import Admin

DOCUMENT: dict[str, Any] = json.loads(app.openapi_document(""))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


SPEAKING = ("team_id", "team_ids", "username", "password")  # say it by their names
WITH_BODY = [each for each in OPERATIONS if "requestBody" in each[2]]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    schema = operation.get("requestBody", {"content": {"application/json": {"schema": {}}}})
    name = schema["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"].get(name, {})
    return found


def test_every_reference_resolves() -> None:
    found = set(references(DOCUMENT))
    assert "#/components/schemas/DeploymentSpec" in found
    for reference in found:
        place: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[f"{method} {path}" for method, path, _ in OPERATIONS]
)
def test_every_operation_has_a_description_and_answers(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert path not in operation["summary"], "Powertools' own words, where the handler says nothing"
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    answers = operation["responses"]
    assert "422" not in answers, "what is wrong with a request is a 400"
    assert ("400" in answers) == bool(operation.get("parameters") or operation.get("requestBody"))
    assert ("403" in answers) == ("security" not in operation)
    assert answers["200"]["description"] != "Successful Response"
    assert list(answers) == sorted(answers)
    for name, field in body_of(operation).get("properties", {}).items():
        assert field.get("description") or "$ref" in json.dumps(field) or name in SPEAKING


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    WITH_BODY,
    ids=[f"{method} {path}" for method, path, _ in WITH_BODY],
)
def test_every_body_has_a_valid_example(admin: Admin, method: str, path: str, operation: dict[str, Any]) -> None:
    (example,) = body_of(operation)["examples"]
    own = json.dumps(example).replace("$TEAM_ID", "nobody-s").replace("$KEY", "sk-nobody-s")
    answer = admin.ask(method, path.replace("{key}", "sk-nobody-s"), raw=own)
    assert answer.status in (200, 401, 403, 404, 409), answer.body  # what it names is not there, or others'
    assert str(answer.status) in operation["responses"]


@pytest.mark.parametrize("prefix", ["", "/prod"])
def test_the_document_has_the_servers_address(admin: Admin, prefix: str) -> None:
    page = admin.ask("GET", "/ui/openapi.json", key=None, prefix=prefix)
    assert page.body["servers"] == [{"url": prefix or "/"}]
    assert page.headers["content-security-policy"]
