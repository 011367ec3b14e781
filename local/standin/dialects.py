"""The providers' error bodies: one table for the stand-ins' answers and for tests.

`CASES[dialect][name]` is one error as the provider sends it. The dialects are `cliproxyapi`, `new-api` and `ark`,
`common` (OpenAI's shapes, which relays pass on) and `anthropic`. Every case has the expected verdict and scope, so a
table-driven test of verdicts needs no second list.

Sources: CLIProxyAPI's and New API's source code, the error-code pages of Volces Ark, OpenAI and Anthropic (2026).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal, TypeAlias

__all__ = ["ALIASES", "CASES", "Case", "Facts", "Rendered", "dialect_of", "find_case", "plain_error"]

Verdict: TypeAlias = Literal[
    "transient",
    "rate_limited",
    "quota",
    "auth",
    "misconfigured",
    "context_length",
    "unsupported",
    "content_policy",
    "client",
]
Scope: TypeAlias = Literal["deployment", "credential"]

_CHINA = timezone(timedelta(hours=8), "CST")


@dataclass(frozen=True)
class Facts:
    """The values that an error body may contain.

    `now` is in epoch seconds; `reset_in` is the number of seconds until the reset that the provider reports.
    """

    model: str = "gpt-5"
    now: float = 1_785_600_000.0  # 2026-08-01T16:00:00Z, a fixed default
    reset_in: int = 60
    request_id: str = "20260801160000123456789hT4kWq2Z"

    @property
    def resets_at(self) -> datetime:
        """The reset time."""
        return datetime.fromtimestamp(self.now + self.reset_in, UTC)


@dataclass(frozen=True)
class Rendered:
    """One answer, ready to send."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _no_headers(_: Facts) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Case:
    """One error of a provider.

    `content` returns the body: a JSON value, or raw bytes (with `content_type`). `scope` is None for a verdict
    without a cooldown.
    """

    status: int
    meaning: str
    content: Callable[[Facts], object]
    verdict: Verdict
    scope: Scope | None = None
    headers: Callable[[Facts], Mapping[str, str]] = field(default=_no_headers)
    content_type: str = "application/json"

    def render(self, facts: Facts | None = None, shaped: Callable[[int, object], object] | None = None) -> Rendered:
        """Return the answer for these facts; `shaped` puts a JSON body into a wire format's envelope."""
        facts = facts or Facts()
        content = self.content(facts)
        if shaped is not None and not isinstance(content, bytes):
            content = shaped(self.status, content)
        body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
        return Rendered(self.status, {"content-type": self.content_type, **self.headers(facts)}, body)

    def error(self, facts: Facts | None = None) -> Mapping[str, object]:
        """Return the error object alone, as sent inside a stream."""
        content = self.content(facts or Facts())
        inner = content.get("error") if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping):
            return inner
        return {"message": str(inner or self.meaning), "type": "server_error", "code": self.status}


def _go_duration(seconds: int) -> str:
    """Format a duration as Go does, without leading zero units: 137h41m9s."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _openai(
    status: int,
    meaning: str,
    verdict: Verdict,
    scope: Scope | None,
    *,
    message: str,
    kind: str,
    code: str | None,
    param: str | None = None,
    headers: Callable[[Facts], Mapping[str, str]] = _no_headers,
) -> Case:
    """Return a case with OpenAI's error object; `{model}` in the message is replaced by the model."""

    def content(facts: Facts) -> object:
        text = message.replace("{model}", facts.model)
        return {"error": {"message": text, "type": kind, "param": param, "code": code}}

    return Case(status, meaning, content, verdict, scope, headers)


# --- CLIProxyAPI ------------------------------------------------------------------------------------------------------


def _cooldown_body(facts: Facts) -> object:
    return {
        "error": {
            "code": "model_cooldown",
            "message": f"All credentials for model {facts.model} are cooling down via provider claude",
            "model": facts.model,
            "provider": "claude",
            "reset_time": _go_duration(facts.reset_in),
            "reset_seconds": facts.reset_in,
        }
    }


def _usage_limit_error(facts: Facts) -> dict[str, object]:
    return {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": int(facts.now) + facts.reset_in,
        "resets_in_seconds": facts.reset_in,
    }


def _unknown_provider(status: int, meaning: str) -> Case:
    return Case(
        status,
        meaning,
        lambda f: {
            "error": {
                "message": f"unknown provider for model {f.model}",
                "type": "invalid_request_error",
                "code": "model_not_found",
                "param": "model",
            }
        },
        "misconfigured",
        "deployment",
    )


_CLIPROXYAPI: dict[str, Case] = {
    "missing_key": Case(401, "the key is missing", lambda _: {"error": "Missing API key"}, "auth", "credential"),
    "bad_key": Case(401, "the key is unknown", lambda _: {"error": "Invalid API key"}, "auth", "credential"),
    "model_cooldown": Case(
        429,
        "every credential for the model is cooling, until a reset time",
        _cooldown_body,
        "quota",
        "deployment",
        lambda f: {"retry-after": str(f.reset_in)},
    ),
    "rate_limit": Case(
        429,
        "a plain rate limit",
        lambda _: {
            "error": {"message": "Rate limit exceeded", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
        },
        "rate_limited",
        "deployment",
    ),
    "usage_limit": Case(
        429,
        "the Codex plan is used up until a reset time",
        lambda f: {"error": _usage_limit_error(f)},
        "quota",
        "deployment",
    ),
    "unknown_model": _unknown_provider(400, "no provider serves the model"),
    "unknown_model_502": _unknown_provider(502, "no provider serves the model, before August 2026"),
    "no_account": Case(
        503,
        "every account rests after a failure",
        lambda f: {
            "error": {
                "message": f"auth_unavailable: no auth available (providers=claude, model={f.model})",
                "type": "server_error",
                "code": "internal_server_error",
            }
        },
        "transient",
        "deployment",
    ),
    "forbidden": Case(
        403,
        "a plain 403: the account's quota is used up",
        lambda _: {
            "error": {
                "message": "You do not have permission to use this resource",
                "type": "permission_error",
                "code": "insufficient_quota",
            }
        },
        "quota",
        "deployment",
    ),
}


def _account_rejection(status: int, meaning: str, verdict: Verdict, kind: str, code: str, message: str) -> Case:
    """Return a rejection of one of the proxy's accounts: its trace header distinguishes it from its own rejection."""
    return Case(
        status,
        meaning,
        lambda _: {"error": {"message": message, "type": kind, "code": code}},
        verdict,
        "deployment",
        lambda f: {"x-cpa-trace-id": f.request_id},
    )


_CLIPROXYAPI |= {
    "account_rejected": _account_rejection(
        401,
        "the provider rejects one of its accounts",
        "auth",
        "authentication_error",
        "invalid_api_key",
        "OAuth token has expired. Please obtain a new token.",
    ),
    "account_forbidden": _account_rejection(
        403,
        "the quota of one of its accounts is used up",
        "quota",
        "permission_error",
        "insufficient_quota",
        "You have insufficient quota for this request.",
    ),
    "disconnected": Case(
        400,
        "its upstream broke off, reported as an invalid request",
        lambda _: {
            "error": {
                "message": "stream disconnected before completion: stream closed before response.completed",
                "type": "invalid_request_error",
                "code": "invalid_request",
            }
        },
        "transient",
        "deployment",
    ),
}


# --- New API ----------------------------------------------------------------------------------------------------------


def _new_api(
    status: int,
    meaning: str,
    verdict: Verdict,
    scope: Scope | None,
    *,
    code: str,
    message: str,
    kind: str = "new_api_error",
) -> Case:
    """Return a case with New API's error object; the message ends in the request id."""

    def content(facts: Facts) -> object:
        text = f"{message.replace('{model}', facts.model)} (request id: {facts.request_id})"
        return {"error": {"code": code, "message": text, "type": kind}}

    return Case(status, meaning, content, verdict, scope)


def _relayed(content: Callable[[Facts], dict[str, object]]) -> Callable[[Facts], object]:
    """Return an upstream's error object as New API passes it on: with its request id at the end of the message."""

    def relayed(facts: Facts) -> object:
        error = content(facts)
        return {"error": {**error, "message": f"{error['message']} (request id: {facts.request_id})"}}

    return relayed


_NEW_API: dict[str, Case] = {
    "bad_key": _new_api(
        401, "the token is bad, expired or used up", "auth", "credential", code="", message="Invalid token"
    ),
    "no_balance": _new_api(
        403,
        "the user's balance is short",
        "quota",
        "credential",
        code="insufficient_user_quota",
        message="User quota is insufficient, remaining quota: $0.000000",
    ),
    "pre_consume": _new_api(
        403,
        "the balance is too short for this request",
        "quota",
        "credential",
        code="pre_consume_token_quota_failed",
        message="Token quota is not enough, token remain quota: $0.012000, need quota: $0.048000",
    ),
    "forbidden_model": _new_api(
        403,
        "the token may not use the model",
        "misconfigured",
        "deployment",
        code="",
        message="This token has no access to model {model}",
    ),
    "rate_limit": _new_api(
        429,
        "its own rate limit",
        "rate_limited",
        "deployment",
        code="",
        message="You have reached the request limit: at most 60 requests in 1 minute",
    ),
    "rate_limit_empty": Case(
        429, "its own rate limit, with an empty body", lambda _: b"", "rate_limited", "deployment"
    ),
    "no_channel": _new_api(
        503,
        "the model is unknown or has no channel",
        "misconfigured",
        "deployment",
        code="model_not_found",
        message="No available channel for model {model} under group default (distributor)",
    ),
    "channels_exhausted": _new_api(
        500,
        "the channels ran out on its retries",
        "transient",
        "deployment",
        code="get_channel_failed",
        message="Failed to get a channel for model {model} under group default (retry)",
    ),
    "unreachable": _new_api(
        500,
        "its upstream could not be reached",
        "transient",
        "deployment",
        code="do_request_failed",
        message="do request failed: dial tcp 127.0.0.1:443: connect: connection refused",
    ),
    "bad_upstream": _new_api(
        502,
        "its upstream's status was bad and the body was unusable",
        "transient",
        "deployment",
        code="bad_response_status_code",
        message="bad response status code 502",
    ),
    "relayed_rate_limit": Case(
        429,
        "its upstream's own rate limit, passed on",
        _relayed(
            lambda f: {
                "message": f"Rate limit reached for {f.model}",
                "type": "requests",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        ),
        "rate_limited",
        "deployment",
    ),
    "relayed_usage_limit": Case(
        429, "its upstream's plan is used up, passed on", _relayed(_usage_limit_error), "quota", "deployment"
    ),
    "relayed_context_length": Case(
        400,
        "its upstream's context limit, passed on",
        _relayed(
            lambda _: {
                "message": "This model's maximum context length is 272000 tokens",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        ),
        "context_length",
    ),
    "overloaded": _new_api(
        503,
        "its host is overloaded",
        "transient",
        "deployment",
        code="system_cpu_overloaded",
        message="system cpu overloaded",
    ),
    "codex_chat": _new_api(
        500,
        "a codex channel was asked for chat",
        "misconfigured",
        "deployment",
        code="convert_request_failed",
        message="codex channel: /v1/chat/completions endpoint not supported",
    ),
}


def _relayed_error(
    status: int, meaning: str, verdict: Verdict, scope: Scope | None, kind: str, code: str, message: str
) -> Case:
    """Return an upstream's error that New API passes on: `type` is not `new_api_error`."""
    return Case(
        status,
        meaning,
        _relayed(lambda _: {"message": message, "type": kind, "param": "", "code": code}),
        verdict,
        scope,
    )


_NEW_API |= {
    "channel_rejected": _relayed_error(
        401,
        "the provider rejects the key of a channel",
        "auth",
        "deployment",
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided.",
    ),
    "channel_quota": _relayed_error(
        429,
        "the credit of a channel is used up",
        "quota",
        "deployment",
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "stream_required": _relayed_error(
        400,
        "a codex channel was asked for a whole answer",
        "unsupported",
        None,
        "invalid_request_error",
        "",
        "Stream must be set to true",
    ),
    "no_responses": _new_api(
        404,
        "a version without the Responses API",
        "misconfigured",
        "deployment",
        code="",
        message="Invalid URL (POST /v1/responses)",
        kind="invalid_request_error",
    ),
    "codex_key": _new_api(
        500,
        "the key of a codex channel is malformed",
        "misconfigured",
        "deployment",
        code="convert_request_failed",
        message="codex channel: key must be a JSON object",
    ),
    "ip_denied": _new_api(
        403,
        "the token's IP list does not have this address",
        "misconfigured",
        "credential",
        code="access_denied",
        message="Your IP is not in the list of allowed addresses",
    ),
}


# --- Volces Ark -------------------------------------------------------------------------------------------------------


def _ark(
    status: int, code: str, meaning: str, verdict: Verdict, scope: Scope | None, *, message: str, param: str = ""
) -> Case:
    """Return a case with Ark's error object; `{model}` and `{resets_at}` (in Ark's notation) are replaced."""
    kind = {
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        429: "TooManyRequests",
        500: "InternalServerError",
    }[status]

    def content(facts: Facts) -> object:
        reset = facts.resets_at.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S %z %Z")
        text = message.replace("{model}", facts.model).replace("{resets_at}", reset)
        text = f"{text} Request id: {facts.request_id}"
        return {"error": {"code": code, "message": text, "param": param, "type": kind}}

    return Case(status, meaning, content, verdict, scope)


def _ark_rate(code: str, what: str) -> Case:
    return _ark(
        429,
        f"RateLimitExceeded.{code}",
        f"the {what} is reached, for seconds",
        "rate_limited",
        "deployment",
        message=f"The {what} limit for the model {{model}} has been exceeded. Please try again later.",
    )


_ARK: dict[str, Case] = {
    "endpoint_rpm": _ark_rate("EndpointRPMExceeded", "endpoint's requests per minute"),
    "endpoint_tpm": _ark_rate("EndpointTPMExceeded", "endpoint's tokens per minute"),
    "model_rpm": _ark_rate("FoundationModelRPMExceeded", "foundation model's requests per minute"),
    "model_tpm": _ark_rate("FoundationModelTPMExceeded", "foundation model's tokens per minute"),
    "overloaded": _ark(
        429,
        "ServerOverloaded",
        "the service is overloaded, for seconds",
        "transient",
        "deployment",
        message="The service is currently unable to handle additional requests. Please try again later.",
    ),
    "account_quota": _ark(
        429,
        "AccountQuotaExceeded",
        "the plan's quota is used up until a reset time",
        "quota",
        "credential",
        message="You have exceeded the 5-hour usage quota. It will reset at {resets_at}.",
    ),
    "quota_exceeded": _ark(
        429,
        "QuotaExceeded",
        "the free quota is used up; an operator must act",
        "quota",
        "deployment",
        message="Your account has exhausted its free quota for the model {model}.",
    ),
    "set_limit": _ark(
        429,
        "SetLimitExceeded",
        "the account's own spending limit is reached; an operator must act",
        "quota",
        "deployment",
        message="Your account has reached the set inference limit for the {model} model, and the service is paused.",
    ),
    "model_not_open": _ark(
        404,
        "ModelNotOpen",
        "the account has not opened the model",
        "misconfigured",
        "deployment",
        message="Your account has not activated the model {model}. Please activate the model service in the console.",
    ),
    "unknown_model": _ark(
        404,
        "InvalidEndpointOrModel.NotFound",
        "no such model or endpoint",
        "misconfigured",
        "deployment",
        message="The model or endpoint {model} does not exist or you do not have access to it.",
    ),
    "unsupported_model": _ark(
        404,
        "UnsupportedModel",
        "the plan does not carry the model",
        "misconfigured",
        "deployment",
        message="The {model} model does not support the coding plan feature.",
    ),
    "subscription_ended": _ark(
        400,
        "InvalidSubscription",
        "the coding plan has ended",
        "auth",
        "credential",
        message="Your account does not have a valid coding plan subscription, or it has expired.",
    ),
    "bad_key": _ark(
        401,
        "AuthenticationError",
        "the key is missing or bad",
        "auth",
        "credential",
        message="The API key in the request is missing or invalid.",
    ),
    "overdue": _ark(
        403,
        "AccountOverdueError",
        "the account owes money",
        "auth",
        "credential",
        message="The request failed because your account has an overdue balance.",
    ),
    "denied": _ark(
        403,
        "OperationDenied.ServiceNotOpen",
        "the service is not open to the account",
        "auth",
        "credential",
        message="The operation is denied: the service is not open.",
    ),
    "invalid_request": _ark(
        400,
        "InvalidParameter",
        "a parameter is wrong",
        "client",
        None,
        message="A parameter specified in the request is not valid: temperature.",
        param="temperature",
    ),
    "content_filter": _ark(
        400,
        "InputTextSensitiveContentDetected",
        "the prompt was refused",
        "content_policy",
        None,
        message="The request failed because the input text may contain sensitive information.",
    ),
    "server_error": _ark(
        500,
        "InternalServiceError",
        "an internal error",
        "transient",
        "deployment",
        message="The service encountered an unexpected internal error.",
    ),
}


# --- OpenAI's and Anthropic's own shapes ------------------------------------------------------------------------------


def _openai_limits(facts: Facts) -> Mapping[str, str]:
    return {
        "retry-after": str(facts.reset_in),
        "retry-after-ms": str(facts.reset_in * 1000),
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": _go_duration(facts.reset_in),
        "x-ratelimit-reset-tokens": "120ms",
    }


_NGINX_404 = (
    b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

_HTML_413 = (
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


def _layer_400(meaning: str, message: str, *, code: str | None = None, param: str | None = None) -> Case:
    """Return a 400 that is specific to one deployment: another one may accept the request."""
    return _openai(400, meaning, "client", None, message=message, kind="invalid_request_error", code=code, param=param)


def _openrouter_error(facts: Facts) -> object:
    raw = {"error": {"message": f"{facts.model} is temporarily overloaded", "type": "overloaded_error"}}
    metadata = {"raw": json.dumps(raw), "provider_name": "Anthropic"}
    return {"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}}


_COMMON: dict[str, Case] = {
    "bad_key": _openai(
        401,
        "the key is bad",
        "auth",
        "credential",
        message="Incorrect API key provided.",
        kind="invalid_request_error",
        code="invalid_api_key",
    ),
    "forbidden": _openai(
        403,
        "the key may not do this",
        "auth",
        "credential",
        message="You are not allowed to generate from this model.",
        kind="permission_error",
        code=None,
    ),
    "rate_limit": _openai(
        429,
        "a rate limit, with the time to wait in the headers",
        "rate_limited",
        "deployment",
        message="Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500, Requested 1.",
        kind="requests",
        code="rate_limit_exceeded",
        headers=_openai_limits,
    ),
    "insufficient_quota": _openai(
        429,
        "the account's credit is used up; an operator must act",
        "quota",
        "credential",
        message="You exceeded your current quota, please check your plan and billing details.",
        kind="insufficient_quota",
        code="insufficient_quota",
    ),
    "usage_limit": Case(
        429,
        "the plan is used up until a reset time",
        lambda f: {"error": _usage_limit_error(f)},
        "quota",
        "deployment",
    ),
    "context_length": _openai(
        400,
        "the prompt is too long for the model",
        "context_length",
        None,
        message="This model's maximum context length is 128000 tokens. Your messages resulted in 131072 tokens.",
        kind="invalid_request_error",
        code="context_length_exceeded",
        param="messages",
    ),
    "unsupported": _openai(
        400,
        "the model takes no such parameter",
        "unsupported",
        None,
        message="Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) is.",
        kind="invalid_request_error",
        code="unsupported_value",
        param="temperature",
    ),
    "content_filter": _openai(
        400,
        "the prompt was filtered",
        "content_policy",
        None,
        message="The response was filtered due to the prompt triggering the content management policy.",
        kind="invalid_request_error",
        code="content_filter",
        param="prompt",
    ),
    "content_policy": _openai(
        400,
        "the prompt was refused by the safety system",
        "content_policy",
        None,
        message="Your request was rejected as a result of our safety system.",
        kind="invalid_request_error",
        code="content_policy_violation",
    ),
    "invalid_request": _openai(
        400,
        "a parameter is wrong",
        "client",
        None,
        message="Invalid value for 'temperature': expected a number between 0 and 2.",
        kind="invalid_request_error",
        code="invalid_value",
        param="temperature",
    ),
    "too_large": _openai(
        413,
        "the body is too large",
        "client",
        None,
        message="Request body too large.",
        kind="invalid_request_error",
        code=None,
    ),
    "unprocessable": _openai(
        422,
        "the body cannot be understood",
        "client",
        None,
        message="Unprocessable entity.",
        kind="invalid_request_error",
        code=None,
    ),
    "unknown_model": _openai(
        404,
        "no such model",
        "misconfigured",
        "deployment",
        message="The model `{model}` does not exist or you do not have access to it.",
        kind="invalid_request_error",
        code="model_not_found",
        param="model",
    ),
    "timeout": _openai(
        408,
        "the provider waited too long",
        "transient",
        "deployment",
        message="Request timed out.",
        kind="timeout",
        code=None,
    ),
    "server_error": _openai(
        500,
        "an internal error",
        "transient",
        "deployment",
        message="The server had an error while processing your request.",
        kind="server_error",
        code=None,
    ),
    "overloaded": _openai(
        503,
        "overloaded",
        "transient",
        "deployment",
        message="Our servers are currently overloaded. Please try again later.",
        kind="server_error",
        code="server_is_overloaded",
    ),
    "extra_usage": _openai(
        400,
        "the subscription's extra usage is used up",
        "quota",
        "deployment",
        message="You're out of extra usage. Add more at claude.ai/settings/usage and keep going.",
        kind="invalid_request_error",
        code=None,
    ),
    "location": _openai(
        400,
        "the provider does not serve this country",
        "misconfigured",
        "deployment",
        message="User location is not supported for the API use.",
        kind="invalid_request_error",
        code="FAILED_PRECONDITION",
    ),
    "developer_role": _layer_400(
        "the role developer is unknown",
        "Failed to deserialize the JSON body: messages[0].role: unknown variant `developer`, expected one of `system`, "
        "`user`, `assistant`, `tool`",
    ),
    "max_tokens_range": _layer_400(
        "the model allows fewer output tokens",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        param="max_tokens",
    ),
    "temperature": _layer_400(
        "the model has a fixed temperature", "invalid temperature: only 1 is allowed for this model"
    ),
    "extra_inputs": _layer_400("a field is not permitted", "context_management: Extra inputs are not permitted"),
    "failed_generation": _layer_400(
        "the model generated an invalid tool call",
        "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        code="tool_use_failed",
    ),
    "provider_error": Case(
        400, "OpenRouter's error, with the provider's own in metadata.raw", _openrouter_error, "transient", "deployment"
    ),
    "html_413": Case(
        413, "a proxy's page: the body is too large", lambda _: _HTML_413, "client", content_type="text/html"
    ),
    "bad_gateway": Case(
        502,
        "a proxy's page in front of a dead provider",
        lambda _: b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>",
        "transient",
        "deployment",
        content_type="text/html",
    ),
    "wrong_base_url": Case(
        404,
        "a web server's 404 page: the base URL is wrong",
        lambda _: _NGINX_404,
        "misconfigured",
        "credential",
        content_type="text/html",
    ),
    "wrong_base_url_text": Case(
        404,
        "a plain-text 404: the base URL is wrong",
        lambda _: b"404 page not found",
        "misconfigured",
        "credential",
        content_type="text/plain",
    ),
}


def _anthropic(
    status: int,
    kind: str,
    meaning: str,
    verdict: Verdict,
    scope: Scope | None,
    message: str,
    headers: Callable[[Facts], Mapping[str, str]] = _no_headers,
) -> Case:
    return Case(
        status,
        meaning,
        lambda f: {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{f.request_id}"},
        verdict,
        scope,
        headers,
    )


def _anthropic_limits(facts: Facts) -> Mapping[str, str]:
    reset = facts.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": reset,
        "anthropic-ratelimit-tokens-reset": reset,
    }


_ANTHROPIC: dict[str, Case] = {
    "bad_key": _anthropic(
        401, "authentication_error", "the key is bad", "auth", "credential", message="invalid x-api-key"
    ),
    "rate_limit": _anthropic(
        429,
        "rate_limit_error",
        "a rate limit, with the time of its end in the headers",
        "rate_limited",
        "deployment",
        "This request would exceed your organization's rate limit.",
        _anthropic_limits,
    ),
    "invalid_request": _anthropic(
        400, "invalid_request_error", "a parameter is wrong", "client", None, "max_tokens: Field required"
    ),
    "server_error": _anthropic(
        500, "api_error", "an internal error", "transient", "deployment", "Internal server error"
    ),
    "overloaded": _anthropic(529, "overloaded_error", "overloaded", "transient", "deployment", "Overloaded"),
}


CASES: Mapping[str, Mapping[str, Case]] = {
    "cliproxyapi": _CLIPROXYAPI,
    "new-api": _NEW_API,
    "ark": _ARK,
    "common": _COMMON,
    "anthropic": _ANTHROPIC,
}

# One name for the same error at every provider, for people and for tests that cover all of them.
ALIASES: Mapping[str, Mapping[str, str]] = {
    "cliproxyapi": {"quota": "forbidden", "quota_reset": "model_cooldown", "auth_unavailable": "no_account"},
    "new-api": {
        "quota": "no_balance",
        "quota_reset": "relayed_usage_limit",
        "usage_limit": "relayed_usage_limit",
        "missing_key": "bad_key",
        "unknown_model": "no_channel",
        "server_error": "channels_exhausted",
        "context_length": "relayed_context_length",
    },
    "ark": {
        "quota": "set_limit",
        "quota_reset": "account_quota",
        "usage_limit": "account_quota",
        "rate_limit": "model_rpm",
        "missing_key": "bad_key",
        "forbidden": "denied",
    },
    "common": {"quota": "insufficient_quota", "quota_reset": "usage_limit", "missing_key": "bad_key"},
    "anthropic": {"missing_key": "bad_key"},
}


def dialect_of(provider: str) -> str:
    """Return the dialect of a provider: its own, or `common`."""
    return provider if provider in CASES else "common"


def find_case(provider: str, name: str) -> Case | None:
    """Return the case `name` of this provider, else of the common dialect, else None.

    A name such as `ark:set_limit` selects a case of another dialect.
    """
    dialect, colon, rest = name.partition(":")
    if colon:
        return CASES.get(dialect, {}).get(rest)
    for dialect in (dialect_of(provider), "common"):
        found = CASES[dialect].get(ALIASES[dialect].get(name, name))
        if found is not None:
            return found
    return None


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def plain_error(
    provider: str, status: int, message: str, facts: Facts, *, param: str | None = None, code: str | None = None
) -> object:
    """Return an error body in the provider's shape, for a status without a case."""
    invalid = 400 <= status < 500
    match dialect_of(provider):
        case "cliproxyapi":
            kind = "invalid_request_error" if invalid else "server_error"
            code = code or ("invalid_request" if invalid else "internal_server_error")
            return {"error": {"message": message, "type": kind, "code": code}}
        case "new-api":
            text = f"{message} (request id: {facts.request_id})"
            return {
                "error": {
                    "message": text,
                    "type": "new_api_error",
                    "param": param or "",
                    "code": code or ("invalid_request" if invalid else "bad_response_status_code"),
                }
            }
        case "ark":
            code = code or ("InvalidParameter" if invalid else "InternalServiceError")
            kind = "BadRequest" if invalid else "InternalServerError"
            text = f"{message} Request id: {facts.request_id}"
            return {"error": {"code": code, "message": text, "param": param or "", "type": kind}}
        case "anthropic":
            kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if invalid else "api_error")
            return {"type": "error", "error": {"type": kind, "message": message}}
        case _:
            kind = "invalid_request_error" if invalid else "server_error"
            return {"error": {"message": message, "type": kind, "param": param, "code": code}}
