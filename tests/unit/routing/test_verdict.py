"""Every answer that the providers are known to send, and what it means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from vibe_router.core.models import RelayMarks
from vibe_router.routing.classification import classify_failure
from vibe_router.routing.failure_rules import FAILURE_RULES, FailureRule
from vibe_router.routing.verdict import Failure, FailureKind, Scope, Verdict

NOW = 1_785_000_000.0  # 2026-07-25 17:20:00 UTC

TRANSIENT = (Verdict.TRANSIENT, Scope.DEPLOYMENT)
RATE_LIMITED = (Verdict.RATE_LIMITED, Scope.DEPLOYMENT)
QUOTA = (Verdict.QUOTA, Scope.DEPLOYMENT)
QUOTA_OF_CREDENTIAL = (Verdict.QUOTA, Scope.CREDENTIAL)
AUTH = (Verdict.AUTH, Scope.CREDENTIAL)
MISCONFIGURED = (Verdict.MISCONFIGURED, Scope.DEPLOYMENT)
WRONG_URL = (Verdict.MISCONFIGURED, Scope.CREDENTIAL)
CONTEXT_LENGTH = (Verdict.CONTEXT_LENGTH, Scope.DEPLOYMENT)
CONTENT_POLICY = (Verdict.CONTENT_POLICY, Scope.DEPLOYMENT)
CLIENT = (Verdict.CLIENT, Scope.DEPLOYMENT)


@dataclass(frozen=True)
class Case:
    """An answer as it was received, and the classification that it deserves."""

    name: str
    status: int
    body: Any  # bytes as they are, anything else as JSON
    means: tuple[Verdict, Scope]
    reset: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, ensure_ascii=False).encode()


def error(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"}


def new_api(code: Any, message: str, kind: str = "new_api_error") -> dict[str, Any]:
    return {"error": {"message": f"{message} (request id: 202607251720)", "type": kind, "param": "", "code": code}}


def openrouter(raw: Any, code: int = 400) -> dict[str, Any]:
    quoted = raw if isinstance(raw, str) else json.dumps(raw)
    return error("Provider returned error", code=code, metadata={"raw": quoted, "provider_name": "Z.AI"})


def ark(code: str, kind: str, message: str = "The request failed.", param: str = "") -> dict[str, Any]:
    return {
        "error": {"code": code, "message": f"{message} Request id: 0217850000000", "param": param, "type": kind},
    }


COOLING = {
    "error": {
        "code": "model_cooldown",
        "message": "All credentials for model claude-sonnet-4-6 are cooling down via provider claude",
        "model": "claude-sonnet-4-6",
        "provider": "claude",
        "reset_time": "137h41m9s",
        "reset_seconds": 495669,
    }
}
PLAN_USED_UP = {
    "error": {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": int(NOW) + 529_498,
        "resets_in_seconds": 529_498,
    }
}
AUTH_UNAVAILABLE = error(
    "auth_unavailable: no auth available (providers=codex, model=gpt-5)",
    type="server_error",
    code="internal_server_error",
)

CLIPROXYAPI = [
    Case("CLIProxyAPI misses the key", 401, {"error": "Missing API key"}, AUTH),
    Case("CLIProxyAPI refuses the key", 401, {"error": "Invalid API key"}, AUTH),
    Case("every account for the model cools", 429, COOLING, QUOTA, 495_669, {"retry-after": "495669"}),
    Case("every account cools and Retry-After comes sooner", 429, COOLING, QUOTA, 3600, {"retry-after": "3600"}),
    Case(
        "a plain 429",
        429,
        error("Too many requests", type="rate_limit_error", code="rate_limit_exceeded"),
        RATE_LIMITED,
    ),
    Case("the codex plan is used up", 429, PLAN_USED_UP, QUOTA, 529_498),
    Case(
        "CLIProxyAPI knows no provider for the model",
        400,
        error("unknown provider for model gpt-9", type="invalid_request_error", code="model_not_found", param="model"),
        MISCONFIGURED,
    ),
    Case(
        "CLIProxyAPI before August 2026 knows no provider for the model",
        502,
        error("unknown provider for model gpt-9", type="server_error", code="internal_server_error"),
        MISCONFIGURED,
    ),
    Case("the model rests after a failure of its upstream", 503, AUTH_UNAVAILABLE, TRANSIENT),
    Case(
        "CLIProxyAPI passes on that one account is refused",
        401,
        anthropic("authentication_error", "invalid x-api-key"),
        (Verdict.AUTH, Scope.DEPLOYMENT),
        None,
        {"x-cpa-trace-id": "t1"},
    ),
    Case(
        "CLIProxyAPI passes on that one account has no credit",
        400,
        anthropic("invalid_request_error", "You're out of extra usage. Add more at claude.ai/settings/usage."),
        QUOTA,
        None,
        {"x-cpa-trace-id": "t1"},
    ),
    Case("a plain 403 of CLIProxyAPI", 403, error("denied", type="permission_error", code="insufficient_quota"), QUOTA),
]

NEW_API = [
    Case("the New API token is bad, expired or used up", 401, new_api("", "Invalid token"), AUTH),
    Case("the user's balance is short", 403, new_api("insufficient_user_quota", "用户额度不足"), QUOTA_OF_CREDENTIAL),
    Case(
        "the token's balance is short",
        403,
        new_api("pre_consume_token_quota_failed", "token quota is not enough"),
        QUOTA_OF_CREDENTIAL,
    ),
    Case("the token may not use the model", 403, new_api("", "This token has no access to model gpt-5"), MISCONFIGURED),
    Case("the token may not use the model, in words we don't know", 403, new_api("", "该令牌无权访问"), MISCONFIGURED),
    Case("New API's own rate limit", 429, new_api("", "您已达到请求数限制"), RATE_LIMITED),
    Case("New API's own rate limit with an empty body", 429, b"", RATE_LIMITED),
    Case(
        "no channel for the model",
        503,
        new_api("model_not_found", "No available channel for model gpt-9 under group default (distributor)"),
        MISCONFIGURED,
    ),
    Case("channels ran out on retry", 500, new_api("get_channel_failed", "no channel left"), TRANSIENT),
    Case("New API cannot reach its upstream", 500, new_api("do_request_failed", "do request failed"), TRANSIENT),
    Case(
        "New API passes on an upstream 502 that it could not read",
        502,
        new_api("bad_response_status_code", "bad response status code 502"),
        TRANSIENT,
    ),
    Case(
        "New API passes on an upstream 429 that it could not read",
        429,
        new_api("bad_response_status_code", "bad response status code 429"),
        RATE_LIMITED,
    ),
    Case(
        "New API passes on Ark's long quota",
        429,
        new_api("SetLimitExceeded", "You have set a limit", "TooManyRequests"),
        QUOTA,
    ),
    Case(
        "New API passes on OpenAI's context error",
        400,
        new_api("context_length_exceeded", "too long", "invalid_request_error"),
        CONTEXT_LENGTH,
    ),
    Case(
        "New API quotes its upstream's error inside its own message",
        500,
        new_api("bad_response", 'upstream said: {"error": {"code": "ModelNotOpen", "message": "not activated"}}'),
        MISCONFIGURED,
    ),
    Case("New API's processor is overloaded", 503, new_api("system_cpu_overloaded", "CPU overloaded"), TRANSIENT),
    Case("New API's memory is overloaded", 503, new_api("system_memory_overloaded", "overloaded"), TRANSIENT),
    Case(
        "an error of New API's /v1/messages",
        401,
        {"type": "error", "error": {"type": "new_api_error", "message": "Invalid token"}},
        AUTH,
    ),
    Case(
        "a codex channel of New API is called over chat",
        500,
        new_api("convert_request_failed", "codex channel: /v1/chat/completions endpoint not supported"),
        MISCONFIGURED,
    ),
    Case(
        "a codex channel of New API is set up wrong",
        500,
        new_api("convert_request_failed", "codex channel: key must be a JSON object"),
        MISCONFIGURED,
    ),
    Case(
        "New API does not accept our address",
        403,
        new_api("access_denied", "您的 IP 不在令牌允许访问的列表中"),
        WRONG_URL,
    ),
    Case(
        "New API passes on that one channel's key is refused",
        401,
        new_api("invalid_api_key", "Incorrect API key provided", "invalid_request_error"),
        (Verdict.AUTH, Scope.DEPLOYMENT),
    ),
    Case(
        "New API passes on that one channel's balance is used up",
        429,
        new_api("insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
        QUOTA,
    ),
    Case("New API's channel has no key left", 500, new_api("channel:no_available_key", "no keys"), MISCONFIGURED),
]

LONG_QUOTA = "You have exceeded the monthly usage quota. It will reset at 2026-08-03 23:59:59 +0800 CST."
UNTIL_AUGUST = 1_785_772_799 - NOW  # 2026-08-03 15:59:59 UTC

ARK = [
    *(
        Case(f"Ark's {code}", 429, ark(f"RateLimitExceeded.{code}", "TooManyRequests"), RATE_LIMITED)
        for code in (
            "EndpointRPMExceeded",
            "EndpointTPMExceeded",
            "FoundationModelRPMExceeded",
            "FoundationModelTPMExceeded",
        )
    ),
    Case("Ark is overloaded", 429, ark("ServerOverloaded", "TooManyRequests"), TRANSIENT),
    Case(
        "Ark's plan is used up until the time it names",
        429,
        ark("AccountQuotaExceeded", "TooManyRequests", LONG_QUOTA),
        QUOTA_OF_CREDENTIAL,
        UNTIL_AUGUST,
    ),
    Case(
        "Ark's plan is used up and only the message says so",
        429,
        error(LONG_QUOTA, type="TooManyRequests"),
        QUOTA_OF_CREDENTIAL,
        UNTIL_AUGUST,
    ),
    Case("Ark's free quota is used up", 429, ark("QuotaExceeded", "TooManyRequests"), QUOTA),
    Case("the operator's own limit at Ark is reached", 429, ark("SetLimitExceeded", "TooManyRequests"), QUOTA),
    Case("the model is not opened at Ark", 404, ark("ModelNotOpen", "NotFound"), MISCONFIGURED),
    Case("Ark knows no such model", 404, ark("InvalidEndpointOrModel.NotFound", "NotFound"), MISCONFIGURED),
    Case("Ark's plan lacks the model", 404, ark("UnsupportedModel", "NotFound"), MISCONFIGURED),
    Case("the subscription at Ark has ended", 400, ark("InvalidSubscription", "BadRequest"), AUTH),
    Case("Ark refuses the key", 401, ark("AuthenticationError", "Unauthorized"), AUTH),
    Case("the account at Ark is overdue", 403, ark("AccountOverdueError", "Forbidden"), AUTH),
    Case("Ark denies the operation", 403, ark("OperationDenied.ServiceOverdue", "Forbidden"), AUTH),
    Case("Ark finds a parameter invalid", 400, ark("InvalidParameter", "BadRequest", param="top_p"), CLIENT),
    *(
        Case(f"Ark reports {code}", 400, ark(code, "BadRequest"), CONTENT_POLICY)
        for code in (
            "SensitiveContentDetected",
            "InputTextSensitiveContentDetected",
            "OutputTextSensitiveContentDetected",
            "SensitiveContentDetected.SevereViolation",
        )
    ),
    Case("Ark fails inside", 500, ark("InternalServiceError", "InternalServerError"), TRANSIENT),
]

COMMON = [
    Case(
        "OpenAI's context_length_exceeded",
        400,
        error("too long", type="invalid_request_error", param="messages", code="context_length_exceeded"),
        CONTEXT_LENGTH,
    ),
    Case("Azure's content_filter", 400, error("filtered", code="content_filter", innererror={}), CONTENT_POLICY),
    Case("OpenAI's content_policy_violation", 400, error("no", code="content_policy_violation"), CONTENT_POLICY),
    Case(
        "OpenAI's rate limit with every kind of hint",
        429,
        error("Rate limit reached. Please try again in 20s.", type="requests", code="rate_limit_exceeded"),
        RATE_LIMITED,
        0.12,
        {
            "retry-after": "20",
            "retry-after-ms": "19500",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "6m0s",
        },
    ),
    Case(
        "OpenAI's insufficient_quota, whose buckets say nothing of it",
        429,
        error("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
        QUOTA_OF_CREDENTIAL,
        None,
        {"x-ratelimit-reset-requests": "120ms"},
    ),
    Case("Anthropic is overloaded", 529, anthropic("overloaded_error", "Overloaded"), TRANSIENT),
    Case(
        "Anthropic's rate limit, by the bucket that is empty",
        429,
        anthropic("rate_limit_error", "This request would exceed your rate limit. Please reduce the prompt length"),
        RATE_LIMITED,
        40,
        {
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-07-25T17:20:02Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-07-25T17:20:40Z",
        },
    ),
    Case("a 408", 408, b"", TRANSIENT),
    *(Case(f"a {status} without a better reading", status, b"<html>", TRANSIENT) for status in (500, 502, 503, 504)),
    Case("a 404 of some web server", 404, b"<html><h1>404 Not Found</h1></html>", WRONG_URL),
    Case("a 404 in plain words", 404, b"404 page not found", WRONG_URL),
    Case("another 400", 400, error("messages must not be empty", type="invalid_request_error"), CLIENT),
    Case("another 413", 413, error("Request exceeds the maximum size", type="request_too_large"), CLIENT),
    Case("another 422", 422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}, CLIENT),
]

ALSO_MET = [
    Case("Anthropic refuses the key", 401, anthropic("authentication_error", "invalid x-api-key"), AUTH),
    Case("Anthropic forbids the resource", 403, anthropic("permission_error", "no permission"), MISCONFIGURED),
    Case("Anthropic knows no such model", 404, anthropic("not_found_error", "model: claude-9"), MISCONFIGURED),
    Case("Anthropic knows no such path", 404, anthropic("not_found_error", "Not Found"), WRONG_URL),
    Case("Anthropic finds the request invalid", 400, anthropic("invalid_request_error", "bad role"), CLIENT),
    Case(
        "Anthropic's credit is used up, as a 400",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        QUOTA_OF_CREDENTIAL,
    ),
    Case(
        "Anthropic's spending limit names its end",
        400,
        anthropic(
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-08-01 at 00:00 UTC.",
        ),
        QUOTA_OF_CREDENTIAL,
        1_785_542_400 - NOW,
    ),
    Case("Anthropic fails inside", 500, anthropic("api_error", "Internal server error"), TRANSIENT),
    Case(
        "Gemini's minute is used up",
        429,
        {
            "error": {
                "code": 429,
                "message": "You exceeded your current quota. Please retry in 36.429760048s.",
                "status": "RESOURCE_EXHAUSTED",
                "details": [
                    {"@type": "QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]},
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36s"},
                ],
            }
        },
        RATE_LIMITED,
        36,
    ),
    Case(
        "Gemini's day is used up",
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "Quota exceeded",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}],
                }
            }
        ],
        QUOTA,
    ),
    Case(
        "Gemini's key is bad, as a 400",
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [{"reason": "API_KEY_INVALID"}],
            }
        },
        AUTH,
    ),
    Case("OpenAI asks to slow down", 503, error("Slow down", type="server_error", code="slow_down"), RATE_LIMITED),
    Case("OpenAI refuses the key", 401, error("Incorrect API key provided", code="invalid_api_key"), AUTH),
    Case(
        "the project may not use the model",
        403,
        error("Project `p` does not have access to model `gpt-5`", code="model_not_found"),
        MISCONFIGURED,
    ),
    Case(
        "OpenAI knows no such model",
        404,
        error("The model `gpt-9` does not exist", type="invalid_request_error", code="model_not_found"),
        MISCONFIGURED,
    ),
    Case("OpenAI knows no such path", 404, error("Invalid URL (POST /v2/chat)", code=None), MISCONFIGURED),
    Case("Groq knows no such path", 404, error("Unknown request URL: POST /openai/v1/responses."), MISCONFIGURED),
    Case("a framework that names the path", 404, {"message": "Cannot POST /v1/messages"}, MISCONFIGURED),
    Case(
        "a Responses-only model is called over chat",
        404,
        error("This model is only supported in v1/responses and not in v1/chat/completions.", param="model"),
        MISCONFIGURED,
    ),
    Case(
        "a model that is no chat model",
        404,
        error("This is not a chat model and thus not supported in the v1/chat/completions endpoint."),
        MISCONFIGURED,
    ),
    Case(
        "a model that Copilot serves over Responses alone",
        400,
        error('model "gpt-5.3-codex" is not accessible via the /chat/completions endpoint',
              code="unsupported_api_for_model"),
        MISCONFIGURED,
    ),
    Case(
        "ChatGPT's plan lacks the model",
        400,
        {"detail": "The 'gpt-9' model is not supported when using Codex with a ChatGPT account."},
        MISCONFIGURED,
    ),
    Case("vLLM knows no such model", 404, {"object": "error", "message": "no such model", "code": 404}, MISCONFIGURED),
    Case("a framework's 404", 404, {"detail": "Not Found"}, WRONG_URL),
    Case("Spring's 404", 404, {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/v1"}, WRONG_URL),
    Case("API Gateway's 403", 403, {"message": "Missing Authentication Token"}, WRONG_URL),
    Case("a firewall's 403", 403, b"<html>Attention Required! | Cloudflare</html>", AUTH),
    Case("a suspended account", 403, error("This account has been suspended"), AUTH),
    Case("a redirect", 301, b"<html>Moved</html>", WRONG_URL),
    Case("a 405", 405, b"", WRONG_URL),
    Case("a 402", 402, b"", QUOTA_OF_CREDENTIAL),
    Case(
        "Anthropic's plan has no extra usage left",
        400,
        anthropic("invalid_request_error", "You're out of extra usage. Add more and keep going."),
        QUOTA_OF_CREDENTIAL,
    ),
    Case(
        "Anthropic's token is for another program",
        400,
        anthropic("invalid_request_error", "This credential is only authorized for use with Claude Code."),
        MISCONFIGURED,
    ),
    Case("Alibaba's account is in arrears", 400, error("Access denied", code="Arrearage"), QUOTA_OF_CREDENTIAL),
    Case(
        "Gemini does not serve our location",
        400,
        error("User location is not supported for the API use.", code=400, status="FAILED_PRECONDITION"),
        MISCONFIGURED,
    ),
    Case("OpenRouter quotes an overloaded model", 400, openrouter({"error": {"type": "overloaded_error"}}), TRANSIENT),
    Case("OpenRouter quotes a failed upstream", 400, openrouter({"error": {"code": 502, "message": "x"}}), TRANSIENT),
    Case("OpenRouter quotes a limit in words", 429, openrouter("glm is rate-limited", 429), RATE_LIMITED),
    Case("OpenRouter quotes a rejected request", 400, openrouter({"detail": "bad role"}), CLIENT),
    Case(
        "OpenRouter quotes an upstream's refused key",
        401,
        openrouter([{"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "no"}}]),
        (Verdict.AUTH, Scope.DEPLOYMENT),
    ),
    Case("OpenRouter quotes a prompt that is too long", 400, openrouter("prompt is too long: 9 > 8"), CONTEXT_LENGTH),
    Case("OpenRouter refuses our key", 401, error("No auth credentials found", code=401), AUTH),
    Case("OpenRouter reports a failure beside a choice", 200, {"choices": [{"error": {"code": 502}}]}, TRANSIENT),
    *(
        Case(
            f"a text that is too long: {param}",
            400,
            error("too long", type="invalid_request_error", code="string_above_max_length", param=param),
            means,
        )
        for param, means in {
            "messages[1].content": CONTEXT_LENGTH,
            "input[0].content[2].text": CONTEXT_LENGTH,
            "input": CONTEXT_LENGTH,
            "tools[24].function.name": CLIENT,
            "messages[3].tool_calls[0].function.name": CLIENT,
            "metadata.user_id": CLIENT,
        }.items()
    ),
    *(
        Case(f"a layer's own 400: {message}", 400, error(message, type="invalid_request_error", code=code), CLIENT)
        for message, code in {
            "messages[0].role: unknown variant `developer`, expected one of `system`, `user`": None,
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]": None,
            "invalid temperature: only 1 is allowed for this model": None,
            "context_management: Extra inputs are not permitted": None,
            "Failed to call a function. See 'failed_generation' for more details.": "tool_use_failed",
        }.items()
    ),
    Case("a proxy's page for a body that is too large", 413, b"<html>413 Request Entity Too Large</html>", CLIENT),
    Case("DeepSeek has no balance left", 429, error("Insufficient Balance"), QUOTA_OF_CREDENTIAL),
    Case("a 409", 409, error("conflict"), TRANSIENT),
    Case("a 204", 204, b"", TRANSIENT),
    Case("a relay's 502 around an inner 429", 502, error("upstream", code=429), RATE_LIMITED),
    Case(
        "Zhipu's five hours are used up, without a zone",
        429,
        error("Usage limit reached for 5 hour. Your limit will reset at 2026-07-26 03:20:00", code="1308"),
        QUOTA_OF_CREDENTIAL,
        7200,
    ),
    Case("Zhipu's model is busy", 429, error("该模型当前访问量过大", code="1305"), TRANSIENT),
    Case("max_tokens over the model's ceiling is the caller's mistake, not a matter of context", 400, ark(
        "InvalidParameter", "BadRequest",
        "The parameter max_tokens specified in the request is not valid: integer above maximum value", "max_tokens",
    ), CLIENT),
]  # fmt: skip

TOO_LONG = {
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "OpenAI Responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "OpenAI by the minute": "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 30601.",
    "Anthropic": "prompt is too long: 213462 tokens > 200000 maximum",
    "Anthropic with max_tokens": "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000",
    "Gemini": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "Bedrock": "Input is too long for requested model.",
    "Ark": "Total tokens of image and text exceed max message tokens. Request id: 0217",
    "Zhipu": "Prompt exceeds max length",
    "Kimi": "Your request exceeded model token limit: 131072 (requested: 140000)",
    "xAI": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "MiniMax": "invalid params, context window exceeds limit (2013)",
    "Mistral": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
}


# Messages about features that a model does not support: the status, and the error.
NOT_SUPPORTED = {
    "Bedrock's images": (400, "This model doesn't support the image field for user messages. Remove image."),
    "Bedrock's tools": (400, "This model doesn't support tool use in streaming mode."),
    "Bedrock's choice": (400, "This model doesn't support the toolConfig.toolChoice.any field. Remove it."),
    "Ark's images": (400, "Model do not support image input. Request id: 0217"),
    "OpenAI's images": (400, "Invalid content type. image_url is only supported by certain models."),
    "OpenAI's parameters": (400, "Unsupported parameter: 'max_tokens' is not supported with this model."),
    "Ollama's tools": (400, "registry.ollama.ai/library/gemma3:latest does not support tools"),
    "Ollama's images": (400, "this model does not support image input (ref: b8bd630e)"),
    "DeepSeek's images": (422, "Failed to deserialize: messages[1]: unknown variant `image_url`, expected `text`"),
    "Gemini's images": (400, "Image input modality is not enabled for models/gemma-3-1b-it"),
    "Gemini's tools": (400, "Function calling is not enabled for models/gemma-3-27b-it"),
    "Mistral's images": (400, "Image input is not enabled for this model"),
    "OpenAI's longest answer": (400, "max_tokens is too large: 100000. This model supports at most 16384."),
    "vLLM's longest answer": (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192.",
    ),
    "vLLM's images": (400, "glm-4.7 is not a multimodal model"),
    "vLLM's tools": (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    "llama.cpp's images": (500, "image input is not supported - hint: you may need to provide the mmproj"),
    "Claude's last turn": (400, "This model does not support assistant message prefill."),
    "OpenRouter's tools": (404, "No endpoints found that support tool use."),
}  # fmt: skip


def classified(case: Case, **changes: Any) -> tuple[Verdict, Scope]:
    fields: dict[str, Any] = {"status": case.status, "headers": case.headers, "body": case.raw, **changes}
    classification = classify_failure(Failure(FailureKind.STATUS, **fields), NOW)
    return classification.verdict, classification.scope


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


ALL = [*CLIPROXYAPI, *NEW_API, *ARK, *COMMON, *ALSO_MET]


@named(ALL)
def test_the_classification_of_an_error(case: Case) -> None:
    classification = classify_failure(Failure(FailureKind.STATUS, case.status, case.headers, case.raw), NOW)
    assert (classification.verdict, classification.scope) == case.means
    assert classification.reset_after == (None if case.reset is None else pytest.approx(case.reset))


@pytest.mark.parametrize("message", TOO_LONG.values(), ids=TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 429, 500])
def test_a_context_length_error_is_recognized_under_any_status(message: str, status: int) -> None:
    classification = classify_failure(
        Failure(FailureKind.STATUS, status, body=json.dumps(error(message)).encode()), NOW
    )
    assert classification.verdict is Verdict.CONTEXT_LENGTH
    assert classification.message == message
    assert classification.status in (400, 413, 422)
    assert classification.reset_after is None


@pytest.mark.parametrize(("status", "message"), NOT_SUPPORTED.values(), ids=NOT_SUPPORTED)
def test_an_unsupported_feature_is_recognized_by_the_message(status: int, message: str) -> None:
    classification = classify_failure(
        Failure(FailureKind.STATUS, status, body=json.dumps(error(message)).encode()), NOW
    )
    assert (classification.verdict, classification.scope) == (Verdict.UNSUPPORTED, Scope.DEPLOYMENT)
    assert classification.message == message
    assert classification.status == (422 if status == 422 else 400)
    assert classification.reset_after is None


OBJECTS = [case for case in ALL if isinstance(case.body, dict) and isinstance(case.body.get("error"), dict)]
KNOWN_BY_THE_STATUS_ALONE = {
    "the New API token is bad, expired or used up",
    "the token may not use the model, in words we don't know",
    "New API's own rate limit",
    "New API passes on an upstream 429 that it could not read",
    "an error of New API's /v1/messages",
    "OpenAI knows no such path",
    "Groq knows no such path",
    "a suspended account",
}


@named(OBJECTS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: [body],
        lambda body: {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", **body}},
        lambda body: {"type": "error", **body},
        lambda body: {"error": {"message": json.dumps(body), "type": "upstream_error", "code": "bad_response"}},
        lambda body: {"error": {"message": f"upstream said {json.dumps(body)}", "type": "new_api_error"}},
        lambda body: {"error": body},
    ],
    ids=["a list", "response.failed", "an error event", "a quoting message", "a message that ends in it", "another"],
)
def test_an_envelope_changes_no_verdict(case: Case, wrap: Any) -> None:
    assert classified(case, body=json.dumps(wrap(case.body)).encode()) == case.means


@named(OBJECTS)
@pytest.mark.parametrize(
    "raw",
    [
        lambda raw: b"\xef\xbb\xbf \n" + raw + b"\n",
        lambda raw: b"event: error\ndata: " + raw + b"\n\n",
        lambda raw: raw + b"\n\n{}",
    ],
    ids=["a byte order mark", "an event", "something after it"],
)
def test_bytes_around_the_json_change_no_verdict(case: Case, raw: Any) -> None:
    assert classified(case, body=raw(case.raw)) == case.means


@named(OBJECTS)
def test_an_error_inside_a_200_has_the_same_verdict_unless_only_its_status_decided(case: Case) -> None:
    classification = classify_failure(Failure(FailureKind.IN_BODY, 200, case.headers, case.raw), NOW)
    means = TRANSIENT if case.name in KNOWN_BY_THE_STATUS_ALONE else case.means
    assert (classification.verdict, classification.scope) == means


@pytest.mark.parametrize(
    ("body", "means", "fast_retry"),
    [
        pytest.param(b"", TRANSIENT, False, id="nothing"),
        pytest.param({"error": {}}, TRANSIENT, False, id="an empty error"),
        pytest.param({"error": None, "choices": []}, TRANSIENT, False, id="no error"),
        pytest.param(
            {"type": "response.failed", "response": {"error": {"code": "server_is_overloaded", "message": "busy"}}},
            TRANSIENT, True, id="a failed start after response.created",
        ),
        pytest.param({"type": "error", "code": "server_error", "message": "oops"}, TRANSIENT, True,
                     id="a Responses error event"),
        pytest.param({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, RATE_LIMITED, False,
                     id="a Responses rate limit event"),
        pytest.param(anthropic("overloaded_error", "Overloaded"), TRANSIENT, False, id="Anthropic is overloaded"),
        pytest.param(anthropic("api_error", "Internal"), TRANSIENT, True, id="Anthropic fails inside"),
        pytest.param(anthropic("permission_error", "no"), MISCONFIGURED, False, id="Anthropic forbids"),
        pytest.param(anthropic("not_found_error", "model: x"), MISCONFIGURED, False, id="Anthropic has no such model"),
        pytest.param(anthropic("invalid_request_error", "bad role"), CLIENT, False, id="Anthropic blames the caller"),
        pytest.param(error("busy", code=503), TRANSIENT, True, id="a numeric 503"),
        pytest.param(error("busy", code="502"), TRANSIENT, True, id="a 502 in a string"),
        pytest.param(error("slow", code=429), RATE_LIMITED, False, id="a numeric 429"),
        pytest.param(error("who?", code=401), AUTH, False, id="a numeric 401"),
        pytest.param(error("what?", status_code=400), CLIENT, False, id="a status_code of 400"),
        pytest.param(error("x", code="no_such_code"), TRANSIENT, False, id="an unknown code"),
        pytest.param(error("x", code=12), TRANSIENT, False, id="a number that is no status"),
        pytest.param(COOLING, QUOTA, False, id="CLIProxyAPI's cooldown"),
        pytest.param(error("", type="permission_error", code="insufficient_quota"), QUOTA, False,
                     id="CLIProxyAPI's plain 403"),
        pytest.param(error("", type="BadRequest", code="InvalidParameter"), CLIENT, False, id="Ark's InvalidParameter"),
    ],
)  # fmt: skip
def test_the_classification_of_an_error_inside_a_200(body: Any, means: tuple[Verdict, Scope], fast_retry: bool) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    classification = classify_failure(Failure(FailureKind.IN_BODY, 200, body=raw), NOW)
    assert (classification.verdict, classification.scope, classification.fast_retry) == (*means, fast_retry)


@pytest.mark.parametrize(
    ("kind", "fast_retry", "timeout"),
    [
        (FailureKind.RESET, True, False),
        (FailureKind.UNREACHABLE, False, False),
        (FailureKind.TIMEOUT, False, True),
        (FailureKind.NOT_A_COMPLETION, False, False),
    ],
)
def test_a_failure_without_an_answer_is_transient(kind: FailureKind, fast_retry: bool, timeout: bool) -> None:
    misleading = json.dumps(error("try again in 20s", code="invalid_api_key")).encode()
    classification = classify_failure(Failure(kind, 200, {"retry-after": "7"}, misleading), NOW)
    assert (classification.verdict, classification.scope) == TRANSIENT
    assert (classification.fast_retry, classification.timeout, classification.reset_after) == (
        fast_retry,
        timeout,
        None,
    )


@pytest.mark.parametrize(
    ("means", "relay"),
    [
        pytest.param((Verdict.AUTH, Scope.DEPLOYMENT), RelayMarks(own_error_type="new_api_error"), id="another type"),
        pytest.param(AUTH, RelayMarks(own_error_type="invalid_request_error"), id="the relay's own type"),
        pytest.param((Verdict.AUTH, Scope.DEPLOYMENT), RelayMarks(passed_on_header="x-trace"), id="a header"),
        pytest.param(AUTH, RelayMarks(passed_on_header="x-other"), id="no such header"),
        pytest.param(AUTH, RelayMarks(), id="nothing declared"),
    ],
)
def test_only_a_relays_own_refusal_concerns_the_credential(means: tuple[Verdict, Scope], relay: RelayMarks) -> None:
    body = json.dumps(error("Incorrect API key provided", type="invalid_request_error", code="invalid_api_key"))
    failure = Failure(FailureKind.STATUS, 401, {"x-trace": "1"}, body.encode())
    classification = classify_failure(failure, NOW, relay)
    assert (classification.verdict, classification.scope) == means


@pytest.mark.parametrize(
    ("body", "means"),
    [
        pytest.param(anthropic("invalid_request_error", "stream error"), TRANSIENT, id="invalid by its type alone"),
        pytest.param(error("oops", type="invalid_request_error", code="400"), TRANSIENT, id="or by its status"),
        pytest.param(error("n", type="invalid_request_error", param="n"), CLIENT, id="a parameter is named"),
        pytest.param(error("n", type="invalid_request_error", code="invalid_prompt"), CLIENT, id="a reason is named"),
        pytest.param(error("n", code="context_length_exceeded"), CONTEXT_LENGTH, id="another verdict stays"),
    ],
)
def test_an_answer_that_began_cannot_blame_the_request_by_its_type_alone(
    body: Any, means: tuple[Verdict, Scope]
) -> None:
    failure = Failure(FailureKind.IN_BODY, 200, body=json.dumps(body).encode(), in_open_stream=True)
    classification = classify_failure(failure, NOW)
    assert (classification.verdict, classification.scope) == means


@pytest.mark.parametrize("kind", [FailureKind.STATUS, FailureKind.IN_BODY])
def test_a_stream_that_broke_behind_a_relay_is_transient(kind: FailureKind) -> None:
    body = anthropic("invalid_request_error", "stream error: stream disconnected before completion")
    classification = classify_failure(Failure(kind, 400, body=json.dumps(body).encode()), NOW)
    assert (classification.verdict, classification.scope) == TRANSIENT


@pytest.mark.parametrize("status", range(300, 600))
def test_only_fast_failures_are_retried_and_only_timeouts_are_timeouts(status: int) -> None:
    classification = classify_failure(Failure(FailureKind.STATUS, status), NOW)
    assert classification.fast_retry == (status in (500, 502, 503, 504))
    assert classification.timeout == (status in (408, 504, 524))


def test_a_named_5xx_is_not_retried_at_once() -> None:
    assert not classify_failure(
        Failure(FailureKind.STATUS, 503, body=json.dumps(AUTH_UNAVAILABLE).encode()), NOW
    ).fast_retry


def test_a_rejected_request_has_the_providers_own_fields() -> None:
    body = error(
        "Invalid 'temperature'", type="invalid_request_error", code="decimal_above_max_value", param="temperature"
    )
    classification = classify_failure(Failure(FailureKind.STATUS, 422, body=json.dumps(body).encode()), NOW)
    assert (classification.status, classification.type) == (422, "invalid_request_error")
    assert (classification.code, classification.param) == ("decimal_above_max_value", "temperature")
    assert classification.message == "Invalid 'temperature'"


def test_a_moderated_403_does_not_reach_the_caller_as_403() -> None:
    body = error('Your chosen model requires moderation and your input was flagged for "violence"', code=403)
    classification = classify_failure(Failure(FailureKind.STATUS, 403, body=json.dumps(body).encode()), NOW)
    assert (classification.verdict, classification.status) == (Verdict.CONTENT_POLICY, 400)


def test_absent_and_odd_fields_are_none_or_text() -> None:
    body = b'{"error": {"message": {"a": 1}, "type": ["x"], "code": 7, "param": true}}'
    classification = classify_failure(Failure(FailureKind.STATUS, 400, body=body), NOW)
    assert (classification.type, classification.code, classification.param, classification.message) == (
        None,
        "7",
        None,
        "",
    )


def test_an_html_page_is_never_a_message_for_the_caller() -> None:
    classification = classify_failure(
        Failure(FailureKind.STATUS, 413, body=b"<html>413 Request Entity Too Large</html>"), NOW
    )
    assert (classification.verdict, classification.status, classification.message) == (Verdict.CLIENT, 413, "")


def test_an_error_cut_in_the_middle_is_still_classified() -> None:
    body = b'{"error": {"message": "prompt is too long: 213462 tokens > 200000 maximum. You sent: ' + b"x" * 65_000
    classification = classify_failure(Failure(FailureKind.STATUS, 400, body=body), NOW)
    assert (classification.verdict, classification.message) == (Verdict.CONTEXT_LENGTH, "")


def test_a_message_with_a_lone_surrogate_can_be_encoded() -> None:
    body = b'{"error": {"message": "bad \\ud800", "code": "\\udfff"}}'
    classification = classify_failure(Failure(FailureKind.STATUS, 400, body=body), NOW)
    assert f"{classification.message}{classification.code}".encode() == b"bad ??"


SIGNS = [
    pytest.param(rule, {"code" if sign in rule.names else "message": sign.replace("*", " x ").strip("=")}, id=sign)
    for rule in FAILURE_RULES
    for sign in (*rule.names, *rule.phrases)
]


@pytest.mark.parametrize(("rule", "says"), SIGNS)
def test_no_rule_is_hidden_by_an_earlier_one(rule: FailureRule, says: dict[str, str]) -> None:
    if "code" in says:
        says = {"code": says["code"].replace(" ", ""), "message": "as its code says"}
    status = 400 if rule.statuses is None else 403 if 403 in rule.statuses else 404
    classification = classify_failure(
        Failure(FailureKind.STATUS, status, body=json.dumps({"error": says}).encode()), NOW
    )
    assert (classification.verdict, classification.scope) == (rule.verdict, rule.scope)
