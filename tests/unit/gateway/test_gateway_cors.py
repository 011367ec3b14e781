from typing import Any

import pytest

from gateway.cors import parse_origins, with_cors
from streaming_runtime import StreamingResponse

PREFLIGHT = StreamingResponse(204, {"allow": "POST, OPTIONS"}, ())
ANSWER = StreamingResponse(200, {"content-type": "application/json"}, (b"{}",))


def cors_of(response: StreamingResponse, method: str, origin: str | None, configured: str) -> dict[str, str]:
    event: dict[str, Any] = {"httpMethod": method, "headers": {"Origin": origin} if origin else None}
    headers = with_cors(response, event, parse_origins(configured)).headers
    return {name: value for name, value in headers.items() if name.startswith("access-control")}


@pytest.mark.parametrize(
    ("origin", "configured"),
    [
        pytest.param("https://app.example", "", id="off"),
        pytest.param(None, "https://app.example", id="no browser"),
        pytest.param("https://evil.example", "https://app.example", id="another origin"),
        pytest.param("https://app.example.evil.example", "https://app.example", id="an origin that begins alike"),
        pytest.param("null", "https://app.example", id="a sandboxed page"),
    ],
)
def test_other_origins_get_no_headers(origin: str | None, configured: str) -> None:
    assert cors_of(ANSWER, "POST", origin, configured) == {}
    assert cors_of(PREFLIGHT, "OPTIONS", origin, configured) == {}


@pytest.mark.parametrize("configured", ["*", "https://other.example, https://App.example/"])
def test_a_configured_origin_may_call_and_read(configured: str) -> None:
    answer = cors_of(ANSWER, "POST", "https://app.example", configured)
    assert answer == {"access-control-allow-origin": "https://app.example", "access-control-expose-headers": "*"}
    preflight = cors_of(PREFLIGHT, "OPTIONS", "https://app.example", configured)
    assert preflight["access-control-allow-methods"] == "POST, OPTIONS"
    assert preflight["access-control-allow-headers"] == "authorization, *"
