"""Call hooks from the pipeline: show them a caller's request or an exchange, and apply their changes."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from vibe_router.access.authentication import KEY_HEADERS
from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.core.telemetry import logger
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import ClientFormat, ClientRequest
from vibe_router.hooks import HookAttempt, HookRequest
from vibe_router.hooks.runner import HookRunner
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.upstream.exchange import Exchange

__all__ = ["HookObserver", "apply_attempt_hook", "apply_request_hook"]

_CREDENTIALS = frozenset({*KEY_HEADERS, "cookie", "proxy-authorization"})
_Body = dict[str, Any]


def apply_request_hook(
    runner: HookRunner,
    client: ClientFormat,
    request: ClientRequest,
    caller: Caller,
    headers: Mapping[str, str],
    request_id: str,
) -> ClientRequest:
    """Return `request` as before_request changes it; the same object if it does not. Raises ApiError."""
    key = caller.key
    given = HookRequest(
        id=request_id,
        format=request.format,
        model=request.model,
        stream=request.stream,
        body=deepcopy(dict(request.body)),
        headers={name: value for name, value in headers.items() if name not in _CREDENTIALS},
        key_id=caller.key_id,
        key_alias=key.alias if key else None,
        team=key.team_id if key else None,
        user=key.user_id if key else None,
        tags=caller.tags,
    )
    changed = runner.before_request(given)
    if changed is given:
        return request
    after = request
    if changed.body != given.body:
        try:
            after = client.parse(dump(changed.body), headers)
        except ApiError as error:
            logger.error("HOOK FAILED", extra={"hook": "before_request", "fault": "invalid body", "param": error.param})
            message = "The router's hook before_request made the request invalid. Its operator finds more in the log."
            raise ApiError(500, message, type="server_error", code="hook_failed") from None
    return after if after.model == changed.model else after.with_model(changed.model)


def apply_attempt_hook(runner: HookRunner, exchange: Exchange, deployment: Deployment, body: bytes) -> None:
    """Change what `exchange` sends as before_attempt demands; `body` is its JSON. Raises ApiError to skip it.

    A change is recorded by the body's fields, so that it lasts when the router rebuilds the body for a retry.
    """
    fields = _fields(body)
    provider = deployment.provider.name
    given = HookAttempt(deployment.id, provider, deployment.model, exchange.format, deepcopy(fields))
    changed = runner.before_attempt(given)
    if changed is given:
        return
    headers = {name.lower(): str(value) for name, value in changed.headers.items()}
    removed = fields.keys() - changed.body.keys()
    written = {name: value for name, value in changed.body.items() if name not in fields or fields[name] != value}

    def edit(raw: bytes) -> bytes:
        return dump({name: value for name, value in {**_fields(raw), **written}.items() if name not in removed})

    exchange.change(headers, edit if removed or written else None)


class HookObserver:
    """Hands the record of each completed request to after_answer."""

    def __init__(self, runner: HookRunner) -> None:
        self._runner = runner

    def observe(self, request: CompletedRequest) -> None:
        """Call the hook."""
        self._runner.after_answer(request.record.as_json())


def _fields(body: bytes) -> _Body:
    """Return a JSON body; {} for a form, which hooks do not see."""
    try:
        value = load(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
