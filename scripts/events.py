"""Write events/*.json, at least one for each route, for `sam local invoke`.

    python -m scripts.events
    sam local invoke GatewayFunction --event events/chat-completions.json
    sam local invoke AdminFunction --event events/key-generate.json

They are v1 proxy events, as API Gateway sends them to the functions, with a placeholder for the key;
`make sam-local` writes copies with its own key.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from scripts.artefacts import ROOT

__all__ = ["DIRECTORY", "events"]

DIRECTORY = ROOT / "events"
KEY = "sk-vibe-local"

_MESSAGE = {"model": "auto-claude", "max_tokens": 1024, "messages": [{"role": "user", "content": "Say hello."}]}
_COUNTED = {key: value for key, value in _MESSAGE.items() if key != "max_tokens"}
_RESPONSE = {"model": "auto-codex", "input": "Say hello.", "store": False}
_HELLO = {"model": "auto-chat", "messages": [{"role": "user", "content": "Say hello."}]}

# File, route, method, path, body.
_CALLS: tuple[tuple[str, str, str, str, object], ...] = (
    ("chat-completions", "/v1/chat/completions", "POST", "/v1/chat/completions", _HELLO),
    ("chat-completions-stream", "/v1/chat/completions", "POST", "/v1/chat/completions", {**_HELLO, "stream": True}),
    ("chat-completions-unversioned", "/chat/completions", "POST", "/chat/completions", _HELLO),
    ("chat-completions-wrong-method", "/v1/chat/completions", "GET", "/v1/chat/completions", None),
    ("messages", "/v1/messages", "POST", "/v1/messages", _MESSAGE),
    ("messages-stream", "/v1/messages", "POST", "/v1/messages", {**_MESSAGE, "stream": True}),
    ("messages-unversioned", "/messages", "POST", "/messages", _MESSAGE),
    ("count-tokens", "/v1/messages/count_tokens", "POST", "/v1/messages/count_tokens", _COUNTED),
    ("count-tokens-unversioned", "/messages/count_tokens", "POST", "/messages/count_tokens", _COUNTED),
    ("responses", "/{proxy+}", "POST", "/v1/responses", _RESPONSE),
    ("responses-stream", "/{proxy+}", "POST", "/v1/responses", {**_RESPONSE, "stream": True}),
    ("responses-unversioned", "/{proxy+}", "POST", "/responses", _RESPONSE),
    ("input-tokens", "/{proxy+}", "POST", "/v1/responses/input_tokens", _RESPONSE),
    ("completions", "/{proxy+}", "POST", "/v1/completions", {"model": "auto-chat", "prompt": "Once upon a time"}),
    ("models", "/v1/models", "GET", "/v1/models", None),
    ("models-unversioned", "/models", "GET", "/models", None),
    ("model", "/v1/models/{model+}", "GET", "/v1/models/auto-chat", None),
    ("model-unversioned", "/models/{model+}", "GET", "/models/auto-chat", None),
    ("openapi", "/{proxy+}", "GET", "/openapi.json", None),
    ("health", "/health", "GET", "/health", None),
    ("health-liveliness", "/health/liveliness", "GET", "/health/liveliness", None),
    ("health-liveness", "/health/liveness", "GET", "/health/liveness", None),
    ("health-readiness", "/health/readiness", "GET", "/health/readiness", None),
    ("root", "/", "GET", "/", None),
    ("unknown", "/{proxy+}", "POST", "/v1/nothing/here", {}),
    ("key-generate", "/key/{proxy+}", "POST", "/key/generate", {"key_alias": "example", "max_budget": 5}),
    ("team-new", "/team/{proxy+}", "POST", "/team/new", {"team_alias": "example"}),
    ("model-info", "/v1/model/info", "GET", "/v1/model/info", None),
    ("model-info-unversioned", "/model/info", "GET", "/model/info", None),
    ("group-info", "/model_group/info", "GET", "/model_group/info", None),
    ("user-list", "/user/{proxy+}", "GET", "/user/list", None),
    ("spend-logs", "/spend/{proxy+}", "GET", "/spend/logs", None),
    ("global-spend", "/global/{proxy+}", "GET", "/global/spend", None),
    ("usage-overview", "/usage/{proxy+}", "GET", "/usage/overview", None),
    ("routes", "/routes", "GET", "/routes", None),
    ("routes-explain", "/routes/{proxy+}", "POST", "/routes/explain", {"model": "auto-chat"}),
    ("me", "/me", "GET", "/me", None),
    ("me-keys", "/me/{proxy+}", "GET", "/me/keys", None),
    ("alerts", "/alerts", "GET", "/alerts", None),
    ("alerts-test", "/alerts/{proxy+}", "POST", "/alerts/test", {"receiver": "ops"}),
    ("audit", "/audit", "GET", "/audit", None),
    ("metrics", "/metrics", "GET", "/metrics", None),
    ("complexity", "/complexity", "GET", "/complexity", None),
    ("complexity-rollback", "/complexity/{proxy+}", "POST", "/complexity/rollback", {"model": "auto"}),
    ("cooldowns", "/cooldowns", "GET", "/cooldowns", None),
    ("secrets", "/secrets/{proxy+}", "PUT", "/secrets/ARK_API_KEY", {"secret": "the-provider-s-key"}),
    ("cooldowns-clear", "/cooldowns/{proxy+}", "POST", "/cooldowns/clear", {"all": True}),
    ("ui", "/ui", "GET", "/ui", None),
    ("ui-page", "/ui/{proxy+}", "GET", "/ui/index.html", None),
)


def events(key: str = KEY) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file's name and event, with this key."""
    for name, route, method, path, body in _CALLS:
        yield f"{name}.json", _event(name, route, method, path, body, key)


def _event(name: str, route: str, method: str, path: str, body: object, key: str) -> dict[str, Any]:
    headers = {"Accept": "*/*", "Authorization": f"Bearer {key}", "Host": "api.example.com", "User-Agent": "example"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {header: [value] for header, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": _path_parameters(route, path),
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "domainName": "api.example.com",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "example"},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": f"example-{name}",
            "resourcePath": route,
            "stage": "prod",
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def _path_parameters(route: str, path: str) -> dict[str, str] | None:
    pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", route)
    found = re.fullmatch(pattern, path)
    return (found.groupdict() or None) if found else None


def main() -> None:
    """Write the files."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, event in events():
        (DIRECTORY / name).write_text(json.dumps(event, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
