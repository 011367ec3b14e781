"""What a provider's failure means, and how widely: the one place that reads error answers."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vibe_router.routing.answers import Answer, read
from vibe_router.routing.reset_hint import reset_after

__all__ = ["Classification", "Failure", "FailureKind", "Scope", "Verdict", "classify_failure"]


class Verdict(StrEnum):
    """What a failure means for the chain."""

    TRANSIENT = "transient"  # heals by itself, often at once
    RATE_LIMITED = "rate_limited"  # heals in seconds to minutes
    QUOTA = "quota"  # heals at a reset time, or when an operator acts
    AUTH = "auth"  # the credential is refused
    MISCONFIGURED = "misconfigured"  # this deployment will not work as configured
    CONTEXT_LENGTH = "context_length"  # another layer may take what is too long here
    UNSUPPORTED = "unsupported"  # another layer's model may do what this one never does
    CONTENT_POLICY = "content_policy"  # the caller gets the provider's reason
    CLIENT = "client"  # the caller's own mistake


class Scope(StrEnum):
    """What a cooldown covers."""

    DEPLOYMENT = "deployment"  # provider + model
    CREDENTIAL = "credential"  # every deployment of that provider's secret


class FailureKind(StrEnum):
    """How an attempt failed, before anyone asks what it means."""

    STATUS = "status"  # an HTTP status other than 200
    UNREACHABLE = "unreachable"  # refused, DNS, TLS
    RESET = "reset"  # the connection broke before or inside the answer
    TIMEOUT = "timeout"  # a bound passed in silence
    IN_BODY = "in_body"  # an error object inside a 200, streamed or not
    NOT_A_COMPLETION = "not_a_completion"  # a 200 that is empty, HTML, cut short or without choices


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt as a value.

    `headers` have lower-case names; `body` is the error answer's (or the in-stream error event's JSON), cut to 64 KiB.
    `detail` is the router's own description of what happened, without anything the provider or the caller sent.
    """

    kind: FailureKind
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Classification:
    """A failure, judged.

    `reset_after`: seconds until the provider says it heals, uncapped, the soonest of several hints; None without one.
    `fast_retry`: whether one more try on the same deployment may help at once (transient that failed fast).
    `status`, `type`, `code`, `param`, `message`: the provider's own words where it gave any, for the caller
    (`client`, `content_policy`, `context_length`, `unsupported`) and, `message` apart, for the log.
    """

    verdict: Verdict
    scope: Scope
    reset_after: float | None = None
    fast_retry: bool = False
    timeout: bool = False
    status: int | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    message: str = ""


def classify_failure(failure: Failure, now: float) -> Classification:
    """Judge `failure` at `now` (epoch seconds). Never raises, whatever the provider sent."""
    if failure.kind not in (FailureKind.STATUS, FailureKind.IN_BODY):
        return Classification(
            Verdict.TRANSIENT,
            Scope.DEPLOYMENT,
            # Refusal and silence are not worth a second try at once; a broken connection often heals with a new one.
            fast_retry=failure.kind is FailureKind.RESET,
            timeout=failure.kind is FailureKind.TIMEOUT,
            status=failure.status,
        )
    answer = read(failure.body)
    status = _status(failure, answer)
    verdict, scope = next((rule.verdict, rule.scope) for rule in _RULES if rule.holds(status, answer))
    transient = verdict is Verdict.TRANSIENT
    return Classification(
        verdict,
        scope,
        reset_after=(
            reset_after(failure.headers, answer, now, buckets=verdict is Verdict.RATE_LIMITED)
            if verdict in _HEALING
            else None
        ),
        fast_retry=transient and status in _FAST,
        timeout=transient and status in _TIMEOUTS,
        status=_for_caller(status) if verdict in _TOLD else status,
        type=answer.type or None,
        code=answer.code or None,
        param=answer.param or None,
        message=answer.message,
    )


def _status(failure: Failure, answer: Answer) -> int | None:
    """Return the HTTP status that counts, None when nobody gave one.

    A relay wraps what it was told into a 5xx of its own, and an error inside a 200 has no status but what it says.
    """
    own = failure.status if failure.kind is FailureKind.STATUS and failure.status != 200 else None
    if own is not None:
        return answer.status if own >= 500 and answer.status else own
    implied = (_IMPLIED[name] for name in answer.names if name in _IMPLIED)
    return answer.status or min(implied, default=None)


def _for_caller(status: int | None) -> int:
    """Return the status that the caller may see: a provider's 401, 403 or 5xx would blame the wrong party."""
    return status if status in _CALLERS else 400


_HEALING = frozenset({Verdict.TRANSIENT, Verdict.RATE_LIMITED, Verdict.QUOTA, Verdict.AUTH})
_TOLD = frozenset({Verdict.CLIENT, Verdict.CONTENT_POLICY, Verdict.CONTEXT_LENGTH, Verdict.UNSUPPORTED})
_FAST = frozenset({500, 502, 503, 504})
_TIMEOUTS = frozenset({408, 504, 524})  # 524 is Cloudflare's, for an origin that stayed silent
_CALLERS = frozenset({400, 413, 414, 415, 422, 431})

# What Anthropic's and OpenAI's error types, Google's statuses and Ark's types stand for where no status came along.
_IMPLIED = {
    **dict.fromkeys(("invalid_request_error", "invalid_argument", "failed_precondition", "badrequest"), 400),
    **dict.fromkeys(("unauthenticated", "unauthorized"), 401),
    "billing_error": 402,
    **dict.fromkeys(("permission_error", "permission_denied", "forbidden"), 403),
    **dict.fromkeys(("not_found_error", "not_found", "notfound"), 404),
    "request_too_large": 413,
    # Bedrock's, inside a stream
    "validationexception": 400,
    "modelstreamerrorexception": 500,
    "internalserverexception": 500,
    "throttlingexception": 429,
    "serviceunavailableexception": 503,
    "modeltimeoutexception": 504,
    **dict.fromkeys(("resource_exhausted", "toomanyrequests"), 429),
    **dict.fromkeys(("api_error", "server_error", "internal_server_error", "internal", "internalserviceerror"), 500),
    **dict.fromkeys(("unavailable", "server_is_overloaded", "service_unavailable_error"), 503),
    **dict.fromkeys(("timeout_error", "deadline_exceeded"), 504),
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """A line of the table. It holds when everything holds that it lists; what it leaves out does not matter.

    Listed are: `statuses`, of which the answer's must be one; `names` and `phrases`, of which one must fit, be it a
    name or a phrase; `own`, whether the body is an API's own error object and not some web server's page.
    Names and phrases are in lower case, and `*` in them stands for anything. A phrase stands anywhere in the message;
    with `=` before it, it is the whole message.
    """

    verdict: Verdict
    scope: Scope = Scope.DEPLOYMENT
    statuses: Container[int] | None = None
    names: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    own: bool | None = None

    def holds(self, status: int | None, answer: Answer) -> bool:
        if self.statuses is not None and (status is None or status not in self.statuses):
            return False
        if self.own is not None and answer.is_error is not self.own:
            return False
        if not self.names and not self.phrases:
            return True
        return any(_named(answer.names, name) for name in self.names) or any(
            _says(answer.text, phrase) for phrase in self.phrases
        )


def _named(names: frozenset[str], pattern: str) -> bool:
    return any(_says(name, pattern) for name in names) if "*" in pattern else pattern in names


def _says(text: str, phrase: str) -> bool:
    if phrase.startswith("="):
        return text.strip(" .") == phrase[1:]
    at = 0
    for part in phrase.split("*"):  # no regular expression: linear, whatever a provider sends
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


# The most specific first; the first that holds decides. Sources: the providers' error references, the sources of
# CLIProxyAPI and New API, and answers seen in the field.
_RULES = (
    # --- Too long for this deployment. Another may take it, so a message that says so counts under any status. ---
    _Rule(
        Verdict.CONTEXT_LENGTH,
        names=(
            "context_length_exceeded",
            "context_window_exceeded",
            "model_context_window_exceeded",
            "context_too_large",
            "exceed_context_size_error",  # llama.cpp
            "string_above_max_length",  # OpenAI: one message alone is too long
            "1261",  # Zhipu
        ),
        phrases=(
            "maximum context length",  # OpenAI, vLLM, DeepSeek, OpenRouter
            "max context length",
            "context length exceeded",
            "exceeds the context window",  # OpenAI's Responses
            "exceeds the model's context",
            "exceeds context size",
            "context window exceed",  # MiniMax, CLIProxyAPI
            "prompt is too long",  # Anthropic
            "prompt too long",  # Ollama
            "input length and*exceed context limit",  # Anthropic: the input fits, max_tokens no longer does
            "input is too long for requested model",  # Bedrock
            "input token count*exceeds the maximum",  # Gemini
            "prompt token count of*exceeds the limit",  # GitHub Copilot
            "exceed max message tokens",  # Ark
            "prompt exceeds max length",  # Zhipu
            "exceeded model token limit",  # Kimi
            "maximum prompt length is",  # xAI
            "longer than the model's context length",  # Together
            "too large for model with*context length",  # Mistral
            "exceeds the maximum allowed input length",  # Poolside
            "exceeds the available context size",  # llama.cpp
            "greater than the context length",  # LM Studio
            "reduce the length of the messages",  # Groq
            # OpenAI: more tokens at once than the account may send in a minute. Time never heals it for this request,
            # and it says nothing against the next one.
            "request too large for*tokens per min",
        ),
    ),
    # --- The content is refused. ---
    _Rule(
        Verdict.CONTENT_POLICY,
        names=(
            "content_filter",
            "content_policy*",
            "cyber_policy*",  # OpenAI's codex models
            "responsibleaipolicyviolation",  # Azure
            "moderation_blocked",
            "prompt_blocked",  # New API
            "sensitive_words_detected",  # New API
            "violation_fee.*",  # New API, for xAI
            "*sensitivecontentdetected*",  # Ark
            "*riskdetection*",  # Ark
            "data_inspection_failed",  # Alibaba
            "datainspectionfailed",
            "1301",  # Zhipu
        ),
        phrases=(
            "flagged as potentially violating",  # OpenAI
            "your input was flagged",  # OpenRouter
            "blocked by content filtering policy",  # Anthropic
            "content management policy",  # Azure
            "rejected as a result of our safety system",  # OpenAI
            "content exists risk",  # DeepSeek
        ),
    ),
    # --- Used up until a reset time, or until an operator acts. ---
    _Rule(Verdict.QUOTA, names=("model_cooldown", "usage_limit_reached"), phrases=("quota will reset after",)),
    _Rule(Verdict.QUOTA, statuses={403}, names=("insufficient_quota",)),  # CLIProxyAPI's reading of a plain 403
    _Rule(
        Verdict.QUOTA,
        Scope.CREDENTIAL,
        names=(
            "accountquotaexceeded",  # Ark
            "insufficient_quota",  # OpenAI
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",  # Anthropic
            "insufficient_user_quota",  # New API
            "pre_consume_token_quota_failed",  # New API
            "insufficient_balance",
            "1113",  # Zhipu: no balance
            "1308",  # Zhipu: the plan's five hours
            "1310",  # Zhipu: the plan's week or month
        ),
        phrases=(
            "credit balance is too low",  # Anthropic, as a 400
            "reached your specified api usage limits",  # Anthropic, as a 400
            "exceeded the*usage quota. it will reset at",  # Ark without its code
            "insufficient balance",  # DeepSeek
        ),
    ),
    _Rule(
        Verdict.QUOTA,
        names=("quotaexceeded", "setlimitexceeded", "quota_exhausted", "*perday*", "1304"),  # Ark; Google; Zhipu
    ),
    _Rule(Verdict.QUOTA, names=("servicequotaexceededexception",), phrases=("too many tokens per day",)),  # Bedrock
    # --- Bedrock: by its exceptions' names, whatever their status. ---
    _Rule(Verdict.RATE_LIMITED, names=("throttlingexception",)),
    _Rule(
        Verdict.TRANSIENT,
        names=(
            "serviceunavailableexception",
            "modelnotreadyexception",  # a 429: the model is being loaded
            "internalserverexception",
            "modeltimeoutexception",
            "modelerrorexception",
            "modelstreamerrorexception",
        ),
    ),
    _Rule(
        Verdict.MISCONFIGURED,
        names=("accessdeniedexception", "resourcenotfoundexception"),
        phrases=(  # these as a ValidationException: the model is called by a wrong name, or the account may not call it
            "the provided model identifier is invalid",
            "with on-demand throughput isn",
            "doesn't support on-demand throughput",
            "=operation not allowed",
        ),
    ),
    _Rule(
        Verdict.AUTH,
        Scope.CREDENTIAL,
        names=("expiredtokenexception", "unrecognizedclientexception", "invalidsignatureexception"),
    ),
    # --- Busy, before the rate limits: Ark and Zhipu send these as a 429 too. ---
    _Rule(
        Verdict.TRANSIENT,
        names=("*overloaded*", "1305", "1312", "channel:response_time_exceeded"),
        phrases=("model is at capacity",),
    ),
    # --- The deployment cannot work as it is configured. ---
    _Rule(
        Verdict.MISCONFIGURED,
        names=(
            "model_not_found",
            "model_not_supported",
            "unsupported_model",
            "unsupported_api_for_model",  # GitHub Copilot: Responses only
            "deploymentnotfound",  # Azure
            "usage_not_included",  # ChatGPT: the plan lacks the model
            "auth_unavailable",  # CLIProxyAPI
            "auth_not_found",
            "channel:*",  # New API: its channel lacks a key, or is set up wrong
            "model_price_error",  # New API: the operator gave the model no price
            "modelnotopen",  # Ark, from here
            "unsupportedmodel",
            "invalidendpointormodel*",
            "invalidendpoint.*",
            "1211",  # Zhipu: no such model
        ),
        phrases=(
            "unknown provider for model",  # CLIProxyAPI, as a 502 until August 2026
            "no auth available",  # CLIProxyAPI
            "no available channel for model",  # New API
            "endpoint not supported",  # New API: a codex channel, called over chat
            "only supported in v1/responses",  # OpenAI
            "not supported in the v1/chat/completions endpoint",  # OpenAI
            "not accessible via the*endpoint",  # GitHub Copilot
            "model is not supported when using codex",  # ChatGPT
            "does not support the coding plan",  # Ark
            "no access to model",  # New API
            "does not have access to model",  # OpenAI
            "the model*does not exist",  # OpenAI, vLLM
            "is not a valid model",  # OpenRouter
        ),
    ),
    # --- Rate limits by name, whatever the status. ---
    _Rule(
        Verdict.RATE_LIMITED,
        names=(
            "ratelimitexceeded.*",  # Ark
            "requestbursttoofast",  # Ark
            "rate_limit_exceeded",
            "rate_limit_error",
            "too_many_requests",
            "slow_down",  # OpenAI, as a 503
        ),
    ),
    # --- The credential is refused. ---
    _Rule(
        Verdict.AUTH,
        Scope.CREDENTIAL,
        names=(
            "invalid_api_key",
            "api_key_invalid",  # Google, as a 400
            "authentication_error",
            "account_deactivated",
            "authenticationerror",  # Ark, from here
            "invalidsubscription",  # as a 400
            "accountoverdueerror",
            "operationdenied.*",
            "1309",  # Zhipu: the plan has ended
        ),
        phrases=("api key not valid", "organization has been disabled", "=missing api key", "=invalid api key"),
    ),
    # --- The request is fine, but nothing for this model: others look at images, call tools, take the parameter. ---
    _Rule(
        Verdict.UNSUPPORTED,
        names=("unsupported_parameter", "unsupported_value"),  # OpenAI
        phrases=(
            "not supported with this model",  # OpenAI, where a relay leaves the code out
            "only supported by certain models",  # OpenAI: images
            "this model doesn't support",  # Bedrock: images, tools, a choice of tools, system messages
            "do not support image input",  # Ark
            "does not support image",
            "image input is not supported",  # llama.cpp
            "input modality is not enabled for",  # Gemini
            "image input is not enabled for",  # Mistral
            "function calling is not enabled for",  # Gemini, Mistral
            "unknown variant `image_url`",  # DeepSeek
            "is not a multimodal model",  # vLLM
            "tool choice requires --enable-auto-tool-choice",  # vLLM
            "does not support tools",  # Ollama
            "does not support function calling",
            "does not support assistant message prefill",  # Anthropic's newer models
            "no endpoints found that support",  # OpenRouter, as a 404
        ),
    ),
    # --- Nothing but the status left. ---
    _Rule(Verdict.AUTH, Scope.CREDENTIAL, statuses={401}),
    _Rule(Verdict.QUOTA, Scope.CREDENTIAL, statuses={402}),
    _Rule(
        Verdict.MISCONFIGURED,  # how web servers and gateways word a path they don't know
        Scope.CREDENTIAL,
        statuses={403, 404, 405},
        phrases=(
            "invalid url",
            "unknown request url",
            "no route matched",
            "cannot post",
            "missing authentication token",  # API Gateway
            "=not found",
            "=method not allowed",
        ),
    ),
    _Rule(
        Verdict.AUTH,
        Scope.CREDENTIAL,
        statuses={403},
        phrases=("suspended", "disabled", "deactivated", "banned", "封禁", "leaked", "oauth", "unregistered callers"),
    ),
    _Rule(Verdict.MISCONFIGURED, statuses={403, 404, 410}, own=True),  # the provider knows us, but not this model
    _Rule(Verdict.AUTH, Scope.CREDENTIAL, statuses={403}),  # a firewall's page
    _Rule(Verdict.MISCONFIGURED, Scope.CREDENTIAL, statuses={404, 405, 410}),  # not this API: a wrong base URL
    _Rule(Verdict.MISCONFIGURED, Scope.CREDENTIAL, statuses=range(300, 400)),
    _Rule(Verdict.RATE_LIMITED, statuses={429}),
    _Rule(Verdict.CLIENT, statuses=_CALLERS),
    _Rule(Verdict.TRANSIENT),
)
