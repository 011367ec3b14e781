"""LiteLLM's names: its providers, and the settings without an equivalent in routes.yaml, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "BEDROCK",
    "FORMATS_OF_MODES",
    "GENERAL_SETTINGS",
    "LITELLM_PARAMS",
    "LITELLM_SETTINGS",
    "MODEL_INFO",
    "MODES_BY_NAME",
    "NOT_OPENAI",
    "PRICES",
    "PROVIDERS",
    "ROUTER_SETTINGS",
    "TOP_LEVEL",
    "LitellmProvider",
]


@dataclass(frozen=True, slots=True)
class LitellmProvider:
    """A provider by LiteLLM's prefix: its API's address, and the variable of its key.

    `base_url` is None if every user has their own. `suffix` is what LiteLLM adds to an `api_base` by itself.
    `formats` are the API's formats unless it only has chat completions; `at_home` the same for its own address only,
    because compatible APIs may have fewer.
    """

    base_url: str | None
    secret: str
    suffix: str = ""
    formats: tuple[str, ...] = ()
    at_home: tuple[str, ...] = ()


PROVIDERS: Mapping[str, LitellmProvider] = {
    "openai": LitellmProvider("https://api.openai.com/v1", "OPENAI_API_KEY", at_home=("chat", "responses")),
    "text-completion-openai": LitellmProvider("https://api.openai.com/v1", "OPENAI_API_KEY", formats=("completions",)),
    "anthropic": LitellmProvider(
        "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", suffix="/v1", formats=("messages",)
    ),
    "azure": LitellmProvider(None, "AZURE_API_KEY", suffix="/openai/v1"),
    "azure_ai": LitellmProvider(None, "AZURE_AI_API_KEY", suffix="/openai/v1"),
    "azure_text": LitellmProvider(None, "AZURE_API_KEY", suffix="/openai/v1", formats=("completions",)),
    "gemini": LitellmProvider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "cerebras": LitellmProvider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "cohere": LitellmProvider("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "cohere_chat": LitellmProvider("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "dashscope": LitellmProvider("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "deepinfra": LitellmProvider("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": LitellmProvider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks_ai": LitellmProvider("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": LitellmProvider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "minimax": LitellmProvider("https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    "mistral": LitellmProvider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": LitellmProvider("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nebius": LitellmProvider("https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY"),
    "novita": LitellmProvider("https://api.novita.ai/v3/openai", "NOVITA_API_KEY"),
    "nvidia_nim": LitellmProvider("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "openrouter": LitellmProvider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": LitellmProvider("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "sambanova": LitellmProvider("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "together_ai": LitellmProvider("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "volcengine": LitellmProvider("https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"),
    "xai": LitellmProvider("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": LitellmProvider("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "ollama": LitellmProvider("http://localhost:11434/v1", "OLLAMA_API_KEY", suffix="/v1"),
    "ollama_chat": LitellmProvider("http://localhost:11434/v1", "OLLAMA_API_KEY", suffix="/v1"),
    "custom_openai": LitellmProvider(None, "CUSTOM_OPENAI_API_KEY"),
    "openai_like": LitellmProvider(None, "OPENAI_LIKE_API_KEY"),
    "hosted_vllm": LitellmProvider(None, "HOSTED_VLLM_API_KEY"),
    "litellm_proxy": LitellmProvider(None, "LITELLM_PROXY_API_KEY"),
    "llamafile": LitellmProvider(None, "LLAMAFILE_API_KEY"),
    "lm_studio": LitellmProvider(None, "LM_STUDIO_API_KEY"),
    "xinference": LitellmProvider(None, "XINFERENCE_API_KEY"),
}
"""The providers that speak a format of the router's under one key, by LiteLLM's prefix."""

BEDROCK = frozenset(("bedrock", "bedrock_converse"))
"""Prefixes of Amazon Bedrock, which has a region instead of a key and an address."""

NOT_OPENAI = frozenset(
    (
        "aiml",
        "baseten",
        "cloudflare",
        "databricks",
        "github_copilot",
        "huggingface",
        "nlp_cloud",
        "oci",
        "petals",
        "predibase",
        "replicate",
        "sagemaker",
        "sagemaker_chat",
        "snowflake",
        "triton",
        "vertex_ai",
        "vertex_ai_beta",
        "watsonx",
        "watsonx_text",
    )
)
"""Prefixes of unsupported APIs; their models are omitted."""

FORMATS_OF_MODES: Mapping[str, tuple[str, ...]] = {
    "chat": (),
    "completion": ("completions",),
    "embedding": ("embeddings",),
    "responses": ("responses",),
    "image_generation": ("images",),
    "image_edit": ("image_edits",),
    "audio_speech": ("speech",),
    "audio_transcription": ("transcriptions",),
    "moderation": ("moderations",),
    "rerank": ("rerank",),
}
"""The formats of each `model_info.mode`; none means the provider's formats."""

MODES_BY_NAME: Mapping[str, str] = {
    "embed": "embedding",
    "rerank": "rerank",
    "moderation": "moderation",
    "whisper": "audio_transcription",
    "transcribe": "audio_transcription",
    "tts": "audio_speech",
    "dall-e": "image_generation",
    "gpt-image": "image_generation",
}
"""Modes implied by a word of the model's name, because configs rarely set `mode`."""

PRICES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
"""LiteLLM's prices in USD per token, and their names here, in USD per million."""

_CALLER_S = "callers send their own parameters; routes add none"
_TELEMETRY = "there are no callbacks; see usage, the log and CloudWatch"
_NO_CACHE = "the cache is set per model instead: `cache: {seconds: 3600}` (docs/caching.md)"
_NO_REDIS = "there is no Redis: cooldowns and limits are in DynamoDB"
_NO_DATABASE = "there is no database to connect to: keys and usage are in the stack's tables"
_NO_GUARDRAILS = "there are no guardrails, prompt stores or tools servers in the router"
_KEYS_LIMIT = "usage is not limited per deployment; limit keys and teams instead (rpm_limit, tpm_limit, max_budget)"
_NO_SSO = "callers use keys, and the page a user name and password"
_OWN_ROLE = "Bedrock is called by the function's own role, at its region's endpoint"
_POLICY = "failures are not counted by kind; each one is classified, and most cool at once"

LITELLM_PARAMS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "n",
            "stop",
            "seed",
            "max_tokens",
            "max_completion_tokens",
            "presence_penalty",
            "frequency_penalty",
            "response_format",
            "tools",
            "tool_choice",
            "reasoning_effort",
            "thinking",
            "user",
            "stream",
            "extra_body",
            "allowed_openai_params",
            "additional_drop_params",
            "cache_control_injection_points",
        ),
        _CALLER_S,
    ),
    **dict.fromkeys(
        (
            "aws_access_key_id",
            "aws_secret_access_key",
            "aws_session_token",
            "aws_session_name",
            "aws_profile_name",
            "aws_role_name",
            "aws_web_identity_token",
            "aws_sts_endpoint",
            "aws_bedrock_runtime_endpoint",
        ),
        _OWN_ROLE,
    ),
    "api_version": "Azure's v1 API, which the base URL names, needs no version",
    "drop_params": "a parameter that a format cannot express is dropped only if that is harmless, else rejected",
    "extra_headers": "no headers are added to a provider's requests",
    "headers": "no headers are added to a provider's requests",
    "organization": "no headers are added to a provider's requests; a key of that organization does the same",
    "mock_response": "stand-ins play providers whose key is missing (make start)",
    "max_parallel_requests": _KEYS_LIMIT,
    "max_budget": _KEYS_LIMIT,
    "budget_duration": _KEYS_LIMIT,
    "default_api_key_tpm_limit": _KEYS_LIMIT,
    "default_api_key_rpm_limit": _KEYS_LIMIT,
    "tags": "deployments are not selected by tags; create a virtual model for such callers",
    "merge_reasoning_content_in_choices": "reasoning stays in its own field",
    "use_in_pass_through": "there is no pass-through to providers' own paths",
    "configurable_clientside_auth_params": "callers cannot set a provider's key or address",
    "input_cost_per_second": "prices are per token",
    "output_cost_per_second": "prices are per token",
    "input_cost_per_request": "prices are per token",
}
"""Reasons for omitted settings of `litellm_params`."""

MODEL_INFO: Mapping[str, str] = {
    "access_groups": "there are no model groups; a key or team lists models and `*` patterns",
    "team_id": "models do not belong to teams; a team lists its allowed models",
}
"""Reasons for omitted settings of `model_info`; the others only describe the model."""

ROUTER_SETTINGS: Mapping[str, str] = {
    "allowed_fails": "one failure cools a deployment, after its retries; each further strike doubles the time",
    "allowed_fails_policy": _POLICY,
    "retry_policy": _POLICY,
    "model_group_retry_policy": _POLICY,
    "disable_cooldowns": "cooldowns can't be switched off; `cooldown: {base: 1, max: 1}` makes them short",
    "enable_pre_call_checks": "a request too long for one deployment goes to the next",
    "enable_tag_filtering": "deployments are not selected by tags",
    "tag_filtering_match_any": "deployments are not selected by tags",
    "retry_after": "a retry waits 0.25 s at most, or a provider's Retry-After up to `max_inline_wait`",
    "content_policy_fallbacks": "content that one provider rejects is not sent to another; the caller gets the reason",
    "max_fallbacks": "the whole chain is tried, within `timeouts.total`",
    "default_litellm_params": _CALLER_S,
    "routing_strategy_args": "deployments of a step are load-balanced by weight only",
    "routing_groups": "deployments of a step are load-balanced by weight only",
    "default_max_parallel_requests": _KEYS_LIMIT,
    "optional_pre_call_checks": "a conversation stays on one deployment of a step while it is healthy",
    "set_verbose": "the log has one line per request",
    "debug_level": "the log has one line per request",
    "cache_responses": _NO_CACHE,
    "cache_kwargs": _NO_CACHE,
    "caching_groups": _NO_CACHE,
    "client_ttl": "clients live as long as their environment",
    **dict.fromkeys(("redis_host", "redis_port", "redis_password", "redis_url", "redis_db"), _NO_REDIS),
}
"""Reasons for omitted settings of `router_settings`."""

LITELLM_SETTINGS: Mapping[str, str] = {
    **ROUTER_SETTINGS,
    **dict.fromkeys(
        (
            "callbacks",
            "success_callback",
            "failure_callback",
            "service_callbacks",
            "callback_settings",
            "langfuse_default_tags",
            "json_logs",
            "turn_off_message_logging",
            "redact_user_api_key_info",
        ),
        _TELEMETRY,
    ),
    "cache": _NO_CACHE,
    "cache_params": _NO_CACHE,
    "drop_params": LITELLM_PARAMS["drop_params"],
    "modify_params": "requests pass unchanged or are translated between formats",
    "guardrails": _NO_GUARDRAILS,
    "mcp_aliases": _NO_GUARDRAILS,
    "max_budget": "there is no budget for the whole router; set one for keys and teams",
    "budget_duration": "there is no budget for the whole router; set one for keys and teams",
    "default_key_generate_params": "keys have no defaults; `keys create` accepts every limit",
    "upperbound_key_generate_params": "keys have no defaults; `keys create` accepts every limit",
    "default_team_settings": "teams have no defaults",
    "ssl_verify": "certificates are always checked",
}
"""Reasons for omitted settings of `litellm_settings`, which may contain those of `router_settings`."""

GENERAL_SETTINGS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "database_url",
            "database_type",
            "database_connection_pool_limit",
            "database_connection_timeout",
            "store_model_in_db",
            "allow_requests_on_db_unavailable",
            "proxy_batch_write_at",
            "use_redis_transaction_buffer",
            "disable_spend_logs",
        ),
        _NO_DATABASE,
    ),
    **dict.fromkeys(
        ("alerting", "alerting_threshold", "alerting_args", "alert_types", "spend_report_frequency"),
        "name receivers in `alerts` (docs/alerts.md)",
    ),
    **dict.fromkeys(
        ("background_health_checks", "health_check_interval", "health_check_details"),
        "there are no health checks: after a cooldown, a caller's request probes the deployment",
    ),
    **dict.fromkeys(
        ("custom_auth", "enable_jwt_auth", "litellm_jwtauth", "enable_oauth2_auth", "custom_sso", "ui_access_mode"),
        _NO_SSO,
    ),
    "max_parallel_requests": _KEYS_LIMIT,
    "global_max_parallel_requests": "Lambda's concurrency limits all calls together",
    "maximum_spend_logs_retention_period": "usage rows expire after the stack's parameter UsageDays",
    "store_prompts_in_spend_logs": "prompts and answers are never stored with usage",
    "pass_through_endpoints": "there is no pass-through to other APIs",
    "litellm_license": "no licence is needed",
}
"""Reasons for omitted settings of `general_settings`."""

TOP_LEVEL: Mapping[str, str] = {
    "include": "other files are not followed; import each of them",
    "guardrails": _NO_GUARDRAILS,
    "mcp_servers": _NO_GUARDRAILS,
    "prompts": _NO_GUARDRAILS,
    "vector_store_registry": _NO_GUARDRAILS,
    "files_settings": "files and batches are not part of the router",
    "finetune_settings": "fine-tuning is not part of the router",
    "assistant_settings": "assistants are not part of the router",
    "callback_settings": _TELEMETRY,
}
"""Reasons for omitted sections."""
