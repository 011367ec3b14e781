"""The fields of the official packages, each of which is read, left out, or rejected by name.

When one of these tests fails after an update of a package, the package has a new field: it is to be carried into other
formats, or to be refused there by its name, or it may be left out without harm. The tables say which it is.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import anthropic.types as claude
import botocore
import openai.types.chat as chat
import openai.types.responses as openai
import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types import completion_usage
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.shared_params import Reasoning

from vibe_router.formats.chat import neutral_request as chat_neutral
from vibe_router.formats.common.finish_reasons import FAILURES, REASONS
from vibe_router.formats.messages import neutral_request as messages_request
from vibe_router.formats.responses import neutral_request as responses_neutral
from vibe_router.formats.responses import stream as responses


def fields(kind: Any) -> set[str]:
    """Return the fields of a type of parameters, or of a model of an answer."""
    return set(kind.model_fields) if hasattr(kind, "model_fields") else set(get_type_hints(kind))


def union(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, whatever it is wrapped in."""
    if get_origin(kind) is None:
        yield kind
        return
    for each in get_args(kind):
        if isinstance(each, type) or get_origin(each) is not None:
            yield from union(each)


def kinds(kind: Any) -> set[str]:
    """Return all values of `type` in a union of models."""
    return {word for each in union(kind) for word in words(each.model_fields["type"].annotation)}


def words(hint: Any) -> Iterator[str]:
    for each in get_args(hint):
        if isinstance(each, str):
            yield each
        else:
            yield from words(each)


REQUESTS: Mapping[str, tuple[Any, Any, set[str]]] = {
    "chat": (
        CompletionCreateParamsBase,
        chat_neutral,
        {"audio", "modalities", "moderation", "web_search_options"},
    ),
    "responses": (
        ResponseCreateParamsBase,
        responses_neutral,
        {
            *("access_programs", "background_options", "context_management", "conversation", "image", "moderation"),
            *("prompt", "truncation"),
            "previous_response_id",  # the router's own business, before anything is translated
        },
    ),
    "messages": (
        MessageCreateParamsBase,
        messages_request,
        {"container", "inference_geo", "user_profile_id", "workspace_id"},
    ),
}
"""By a caller's format: its fields, the module that reads them, and those that other formats refuse by name."""


@pytest.mark.parametrize("caller", REQUESTS)
def test_every_field_of_a_request_is_read_left_out_or_rejected(caller: str) -> None:
    params, module, rejected = REQUESTS[caller]
    known = {*module.READ_APART, *module.PASSTHROUGH, *module.HARMLESS} | {"stream"}
    assert fields(params) | {"stream"} <= known | rejected
    assert rejected <= fields(params), "refused is what the package still knows"
    assert not rejected & known


PARTS: list[tuple[Any, set[str], set[str]]] = [
    # --- chat: marks for caching are a matter of cost ---
    (chat.ChatCompletionSystemMessageParam, {"role", "content", "name"}, set()),
    (chat.ChatCompletionDeveloperMessageParam, {"role", "content", "name"}, set()),
    (chat.ChatCompletionUserMessageParam, {"role", "content", "name"}, set()),
    (
        chat.ChatCompletionAssistantMessageParam,
        {"role", "content", "name", "refusal", "tool_calls", "function_call", "audio"},
        set(),
    ),
    (chat.ChatCompletionToolMessageParam, {"role", "content", "tool_call_id"}, set()),
    (chat.ChatCompletionContentPartTextParam, {"type", "text"}, {"prompt_cache_breakpoint"}),
    (chat.ChatCompletionContentPartImageParam, {"type", "image_url"}, {"prompt_cache_breakpoint"}),
    (chat.chat_completion_content_part_image_param.ImageURL, {"url", "detail"}, set()),
    (chat.ChatCompletionContentPartInputAudioParam, {"type", "input_audio"}, {"prompt_cache_breakpoint"}),
    (chat.chat_completion_content_part_param.FileFile, {"file_data", "file_id", "filename"}, set()),
    (chat.ChatCompletionMessageFunctionToolCallParam, {"id", "type", "function"}, set()),
    (chat.ChatCompletionMessageCustomToolCallParam, {"id", "type", "custom"}, set()),
    (chat.ChatCompletionFunctionToolParam, {"type", "function"}, set()),
    (chat.ChatCompletionCustomToolParam, {"type", "custom"}, set()),
    # --- Responses: ids and stages of items are about how they came to be, and so is who called a tool ---
    (openai.EasyInputMessageParam, {"type", "role", "content"}, {"phase"}),
    (openai.ResponseOutputMessageParam, {"type", "role", "content"}, {"id", "status", "phase"}),
    (openai.ResponseInputTextParam, {"type", "text"}, {"prompt_cache_breakpoint"}),
    (openai.ResponseOutputTextParam, {"type", "text"}, {"annotations", "logprobs"}),
    (openai.ResponseInputImageParam, {"type", "image_url", "file_id", "detail"}, {"prompt_cache_breakpoint"}),
    (
        openai.ResponseInputFileParam,
        {"type", "file_data", "file_id", "file_url", "filename"},
        {"detail", "prompt_cache_breakpoint"},
    ),
    (
        openai.ResponseFunctionToolCallParam,
        {"type", "call_id", "name", "arguments", "namespace"},
        {"id", "status", "caller", "async"},
    ),
    (
        openai.response_input_item_param.FunctionCallOutput,
        {"type", "call_id", "output"},
        {"id", "status", "caller", "name", "namespace"},
    ),
    (
        openai.ResponseCustomToolCallParam,
        {"type", "call_id", "name", "input", "namespace"},
        {"id", "caller", "async"},
    ),
    (openai.ResponseCustomToolCallOutputParam, {"type", "call_id", "output"}, {"id", "caller"}),
    (Reasoning, {"effort", "summary", "mode"}, {"context", "generate_summary"}),
    (openai.ResponseTextConfigParam, {"format", "verbosity"}, set()),
    (openai.ResponseReasoningItemParam, {"type", "id", "summary", "content", "encrypted_content"}, {"status"}),
    (
        openai.FunctionToolParam,
        {"type", "name", "description", "parameters", "strict"},
        {"allowed_callers", "async", "defer_loading", "output_schema"},
    ),
    (
        openai.CustomToolParam,
        {"type", "name", "description", "format"},
        {"allowed_callers", "async", "defer_loading"},
    ),
    # --- Messages: fields of tools, and of an earlier answer's text ---
    (claude.TextBlockParam, {"type", "text", "cache_control"}, {"citations"}),
    (claude.ImageBlockParam, {"type", "source", "cache_control", "transformations"}, set()),
    (claude.DocumentBlockParam, {"type", "source", "cache_control", "title", "context", "citations"}, set()),
    (claude.SearchResultBlockParam, {"type", "source", "cache_control", "title", "content", "citations"}, set()),
    (claude.ToolUseBlockParam, {"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}, set()),
    (
        claude.ToolResultBlockParam,
        {"type", "tool_use_id", "content", "is_error", "cache_control"},
        {"toolset_name"},
    ),
    (claude.ThinkingBlockParam, {"type", "thinking", "signature"}, set()),
    (claude.RedactedThinkingBlockParam, {"type", "data"}, set()),
    (
        claude.ToolParam,
        {"type", "name", "description", "input_schema", "strict", "cache_control"},
        {"allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"},
    ),
    (claude.ThinkingConfigEnabledParam, {"type", "budget_tokens", "display"}, set()),
    (claude.ThinkingConfigAdaptiveParam, {"type", "display"}, set()),
    (claude.ThinkingConfigBetweenToolsParam, {"type"}, set()),
    (claude.OutputConfigParam, {"effort", "format"}, set()),
    (claude.MetadataParam, {"user_id"}, set()),
]
"""Parts of requests: what is read of each for another format, and what is left out there."""


@pytest.mark.parametrize(("params", "read", "left_out"), PARTS, ids=[each[0].__name__ for each in PARTS])
def test_every_field_of_a_part_is_read_or_left_out(params: Any, read: set[str], left_out: set[str]) -> None:
    assert fields(params) == read | left_out


def test_every_reason_of_a_message_to_stop_has_a_meaning() -> None:
    assert set(words(claude.StopReason)) <= REASONS.keys() | FAILURES


def test_every_reason_of_bedrock_to_stop_has_a_meaning() -> None:
    [path] = (Path(botocore.__file__).parent / "data" / "bedrock-runtime").glob("*/service-2.json.gz")
    shapes = json.loads(gzip.decompress(path.read_bytes()))["shapes"]
    assert set(shapes["StopReason"]["enum"]) <= REASONS.keys() | FAILURES
    deltas = {"text", "toolUse", "reasoningContent"}
    unasked = {"citation", "toolResult", "image"}  # of documents to be cited, Bedrock's own tools, models that draw
    assert set(shapes["ContentBlockDelta"]["members"]) == deltas | unasked


def test_every_delta_of_a_message_is_known() -> None:
    known = {"text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"}
    assert kinds(claude.RawContentBlockDelta) == known


HOSTED = tuple(
    f"response.{each}"
    for each in (
        *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"),
        *("mcp_list_tools", "shell_call", "audio", "compaction"),
    )
)


def test_every_event_of_a_response_is_known_or_of_what_is_rejected_elsewhere() -> None:
    reported = {kind for kind in kinds(openai.ResponseStreamEvent) if not kind.startswith(HOSTED)}
    assert reported == {
        *responses.FINAL_EVENTS,
        *responses.OPENING_EVENTS,
        *(responses.FAILURE_EVENTS - {"response.cancelled"}),
        *(f"response.output_item.{each}" for each in ("added", "done")),
        *(f"response.content_part.{each}" for each in ("added", "done")),
        *(f"response.reasoning_summary_part.{each}" for each in ("added", "done")),
        *(f"response.output_text.{each}" for each in ("delta", "done", "annotation.added")),
        *(f"response.refusal.{each}" for each in ("delta", "done")),
        *(f"response.reasoning_text.{each}" for each in ("delta", "done")),
        *(f"response.reasoning_summary_text.{each}" for each in ("delta", "done")),
        *(f"response.function_call_arguments.{each}" for each in ("delta", "done")),
        *(f"response.custom_tool_call_input.{each}" for each in ("delta", "done")),
    }


COUNTS: list[tuple[Any, set[str], set[str]]] = [
    (
        completion_usage.CompletionUsage,
        {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"},
        set(),
    ),
    (
        completion_usage.PromptTokensDetails,
        {"cached_tokens", "cache_write_tokens", "audio_tokens"},
        {"text_tokens", "image_tokens"},
    ),
    (
        completion_usage.CompletionTokensDetails,
        {"reasoning_tokens", "audio_tokens"},
        {"text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"},
    ),
    (
        openai.ResponseUsage,
        {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"},
        set(),
    ),
    (
        openai.response_usage.InputTokensDetails,
        {"cached_tokens", "cache_write_tokens"},
        {"cache_write_tokens_details"},
    ),
    (openai.response_usage.OutputTokensDetails, {"reasoning_tokens"}, set()),
    (
        claude.Usage,
        {
            *("input_tokens", "output_tokens", "output_tokens_details"),
            *("cache_read_input_tokens", "cache_creation_input_tokens"),
        },
        {"cache_creation", "inference_geo", "server_tool_use", "service_tier", "speed"},
    ),
]
"""The usage fields of answers: those that are read, for the log, cost and other formats, and those that are not."""


@pytest.mark.parametrize(("usage", "read", "left_out"), COUNTS, ids=[each[0].__name__ for each in COUNTS])
def test_every_count_of_tokens_is_read_or_left_out(usage: Any, read: set[str], left_out: set[str]) -> None:
    assert fields(usage) == read | left_out
