import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.gateway_responses import gateway_error
from local.template import GatewayResponse, read_template

KINDS = {
    "INTEGRATION_FAILURE": 502,
    "INTEGRATION_TIMEOUT": 504,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "REQUEST_TOO_LARGE": 413,
}


@pytest.mark.parametrize(("kind", "status"), KINDS.items())
@pytest.mark.parametrize("declared", ["none", "the template's"])
def test_every_own_error_is_in_openais_shape(kind: str, status: int, declared: str) -> None:
    responses: Mapping[str, GatewayResponse] = {}
    if declared != "none":
        responses = read_template(Path(__file__).parents[3] / "template.yaml").api.responses
    answer = gateway_error(kind, responses, "the-id")
    error = json.loads(answer.body)["error"]
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(error["message"], str)
    assert error["message"]
    assert {"type", "code", "param"} <= error.keys()


def test_the_size_limits_are_in_the_answer_to_what_exceeds_them() -> None:
    message = json.loads(gateway_error("REQUEST_TOO_LARGE", {}, "the-id").body)["error"]["message"]
    assert "10 MB" in message
    assert "6 MB" in message


def test_a_declared_answer_is_filled_in() -> None:
    declared = GatewayResponse(
        418,
        {"x-a": "1"},
        '{"id": "$context.requestId", "kind": "$context.error.responseType.", "m": "$context.no.such"}',
    )
    answer = gateway_error("INTEGRATION_TIMEOUT", {"INTEGRATION_TIMEOUT": declared}, "the-id")
    assert answer.status == 418
    assert answer.headers["x-a"] == "1"
    assert json.loads(answer.body) == {"id": "the-id", "kind": "INTEGRATION_TIMEOUT.", "m": ""}


def test_the_declared_class_applies_with_the_status_of_the_kind() -> None:
    declared = {"DEFAULT_5XX": GatewayResponse(0, {}, "five"), "DEFAULT_4XX": GatewayResponse(0, {}, "four")}
    assert gateway_error("INTEGRATION_FAILURE", declared, "i")[::2] == (502, b"five")
    assert gateway_error("REQUEST_TOO_LARGE", declared, "i")[::2] == (413, b"four")
