"""The table that decides what a provider's error means, such as whether a 429 is a rate limit or a used-up quota.

Rules match the HTTP status, the error's names (code, type) and phrases of its message. The first that matches decides.
"""

from collections.abc import Container
from dataclasses import dataclass

from vibe_router.routing.error_answer import ErrorAnswer
from vibe_router.routing.verdict import Scope, Verdict

__all__ = ["CALLER_STATUSES", "FAILURE_RULES", "IMPLIED_STATUS", "FailureRule", "contains"]

# Statuses by which a provider rejects the request itself.
CALLER_STATUSES = frozenset({400, 413, 414, 415, 422, 431})

# The HTTP status implied by error types of Anthropic, OpenAI, Google and Ark, for errors that come without one.
IMPLIED_STATUS = {
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
class FailureRule:
    """A row of the table. It matches if all its conditions do; a condition that is not given always does.

    `statuses`: the error's status is among them. `names`, `phrases`: one of these names or phrases occurs. `own`:
    whether the body is an API's error object, not the page of a web server. `about_prompt`: the error's `param`, if
    any, is the text of the prompt. Names and phrases are in lower case; `*` matches anything. A phrase occurs anywhere
    in the message; `=phrase` is the whole message.

    `fast_retry`: whether a retry at once may help if the failure is transient.
    """

    verdict: Verdict
    scope: Scope = Scope.DEPLOYMENT
    statuses: Container[int] | None = None
    names: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    own: bool | None = None
    about_prompt: bool = False
    fast_retry: bool = True

    def matches(self, status: int | None, answer: ErrorAnswer) -> bool:
        """Return whether this row decides about `answer`, which came with `status`."""
        if self.statuses is not None and (status is None or status not in self.statuses):
            return False
        if self.own is not None and answer.is_error is not self.own:
            return False
        if self.about_prompt and answer.param and not _names_prompt(answer.param):
            return False
        if not self.names and not self.phrases:
            return True
        return any(_matches(answer.names, name) for name in self.names) or any(
            contains(answer.text, phrase) for phrase in self.phrases
        )


def _matches(names: frozenset[str], pattern: str) -> bool:
    return any(contains(name, pattern) for name in names) if "*" in pattern else pattern in names


def _names_prompt(param: str) -> bool:
    """Return whether `param` is the text of messages or input, such as `messages[3].content[0].text`."""
    parts = [part for part in param.replace("[", ".").split(".") if part and not part.rstrip("]").isdigit()] or [""]
    return parts[0] in ("messages", "input", "prompt") and parts[-1] in (
        "messages", "input", "prompt", "content", "text", "output"
    )  # fmt: skip


def contains(text: str, phrase: str) -> bool:
    """Return whether `text` contains `phrase`, in which `*` matches anything and a first `=` means the whole text."""
    if phrase.startswith("="):
        return text.strip(" .") == phrase[1:]
    at = 0
    for part in phrase.split("*"):  # not a regular expression: linear for any input
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


# The most specific first; the first match decides. Sources: the providers' error references, the sources of
# CLIProxyAPI and New API, and answers seen in the field.
FAILURE_RULES = (
    # --- A longer answer than the model gives. The prompt need not become shorter, so this is no context length. ---
    FailureRule(
        Verdict.UNSUPPORTED,
        phrases=(
            "max_tokens is too large",  # OpenAI
            "max_tokens' is too large",
            "max_tokens` is too large",
            "max_completion_tokens is too large",
            "max_completion_tokens' is too large",  # vLLM, whose message also gives the context length
            "max_completion_tokens` is too large",
            "max_output_tokens is too large",
            "max_output_tokens' is too large",
            "max_output_tokens` is too large",
        ),
    ),
    # --- Too long for this deployment. Another may take it, so a message that says so counts under any status. ---
    FailureRule(
        Verdict.CONTEXT_LENGTH,
        names=(
            "context_length_exceeded",
            "context_window_exceeded",
            "model_context_window_exceeded",
            "context_too_large",
            "exceed_context_size_error",  # llama.cpp
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
    # OpenAI: one text is too long. A tool's name, for one, is no context.
    FailureRule(Verdict.CONTEXT_LENGTH, names=("string_above_max_length",), about_prompt=True),
    # --- The content is rejected. ---
    FailureRule(
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
    FailureRule(Verdict.QUOTA, names=("model_cooldown", "usage_limit_reached"), phrases=("quota will reset after",)),
    FailureRule(Verdict.QUOTA, statuses={403}, names=("insufficient_quota",)),  # CLIProxyAPI's reading of a plain 403
    FailureRule(
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
            "arrearage",  # Alibaba
            "1113",  # Zhipu: no balance
            "1308",  # Zhipu: the plan's five hours
            "1310",  # Zhipu: the plan's week or month
        ),
        phrases=(
            "credit balance is too low",  # Anthropic, as a 400
            "out of extra usage",  # Anthropic's plans, as a 400
            "reached your specified api usage limits",  # Anthropic, as a 400
            "exceeded the*usage quota. it will reset at",  # Ark without its code
            "insufficient balance",  # DeepSeek
        ),
    ),
    FailureRule(
        Verdict.QUOTA,
        names=("quotaexceeded", "setlimitexceeded", "quota_exhausted", "*perday*", "1304"),  # Ark; Google; Zhipu
    ),
    # --- Bedrock: by its exceptions' names, whatever their status. ---
    FailureRule(Verdict.QUOTA, names=("servicequotaexceededexception",), phrases=("too many tokens per day",)),
    FailureRule(Verdict.RATE_LIMITED, names=("throttlingexception",)),
    FailureRule(
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
    FailureRule(
        Verdict.MISCONFIGURED,
        names=("accessdeniedexception", "resourcenotfoundexception"),
        phrases=(  # these as a ValidationException: the model is called by a wrong name, or the account may not call it
            "the provided model identifier is invalid",
            "with on-demand throughput isn",
            "doesn't support on-demand throughput",
            "=operation not allowed",
        ),
    ),
    FailureRule(
        Verdict.AUTH,
        Scope.CREDENTIAL,
        names=("expiredtokenexception", "unrecognizedclientexception", "invalidsignatureexception"),
    ),
    # --- Overloaded. Before the rate limits, since Ark and Zhipu send these as a 429 too. ---
    FailureRule(
        Verdict.TRANSIENT,
        names=("*overloaded*", "1305", "1312", "channel:response_time_exceeded"),
        phrases=("model is at capacity",),
    ),
    # CLIProxyAPI suspends a model for a minute after any failure of its upstream.
    FailureRule(Verdict.TRANSIENT, names=("auth_unavailable",), phrases=("no auth available",), fast_retry=False),
    FailureRule(
        Verdict.TRANSIENT,  # CLIProxyAPI blames the request when a stream breaks behind it
        phrases=("stream disconnected before completion", "stream closed before", "stream ended before"),
    ),
    # --- The deployment cannot work as it is configured. ---
    FailureRule(
        Verdict.MISCONFIGURED,
        names=(
            "model_not_found",
            "model_not_supported",
            "unsupported_model",
            "unsupported_api_for_model",  # GitHub Copilot: Responses only
            "deploymentnotfound",  # Azure
            "usage_not_included",  # ChatGPT: the plan lacks the model
            "auth_not_found",  # CLIProxyAPI
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
            "user location is not supported",  # Gemini
            "only authorized for use with",  # Anthropic: a plan's token
            "key must be a json object",  # New API: a codex channel is set up wrong
        ),
    ),
    FailureRule(Verdict.MISCONFIGURED, Scope.CREDENTIAL, names=("access_denied",)),  # New API's IP list
    # --- Rate limits by name, whatever the status. ---
    FailureRule(
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
    # --- The credential is rejected. ---
    FailureRule(
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
    # --- The model lacks a feature that the request needs: images, tools or a parameter. Another may have it. ---
    FailureRule(
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
    # --- By status alone. ---
    FailureRule(Verdict.AUTH, Scope.CREDENTIAL, statuses={401}),
    FailureRule(Verdict.QUOTA, Scope.CREDENTIAL, statuses={402}),
    FailureRule(
        Verdict.MISCONFIGURED,  # the provider lacks this one path: another format may work
        statuses={404, 405},
        phrases=("post /", "/chat/completions", "/responses", "/messages", "/completions", "/embeddings"),
    ),
    FailureRule(
        Verdict.MISCONFIGURED,  # messages of web servers and gateways for an unknown path
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
    FailureRule(
        Verdict.AUTH,
        Scope.CREDENTIAL,
        statuses={403},
        phrases=("suspended", "disabled", "deactivated", "banned", "封禁", "leaked", "oauth", "unregistered callers"),
    ),
    FailureRule(Verdict.MISCONFIGURED, statuses={403, 404, 410}, own=True),  # the provider knows us, but not this model
    FailureRule(Verdict.AUTH, Scope.CREDENTIAL, statuses={403}),  # a firewall's page
    FailureRule(Verdict.MISCONFIGURED, Scope.CREDENTIAL, statuses={404, 405, 410}),  # not this API: a wrong base URL
    FailureRule(Verdict.MISCONFIGURED, Scope.CREDENTIAL, statuses=range(300, 400)),
    FailureRule(Verdict.RATE_LIMITED, statuses={429}),
    FailureRule(Verdict.CLIENT, statuses=CALLER_STATUSES),
    FailureRule(Verdict.TRANSIENT),
)
