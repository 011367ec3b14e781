"""Compaction: replace a conversation by a summary that the model writes.

The request is sent to the chain like any other. Calls and their outputs are sent as text, so that no provider needs
the tools. Shapes: OpenAI's API reference, "Compact a response".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.core.errors import ApiError, bad_request, error_body
from vibe_router.formats.common import sse
from vibe_router.formats.common.fields import text
from vibe_router.formats.common.json_body import dump, load, parse_object
from vibe_router.formats.responses.ids import item_id
from vibe_router.formats.responses.request import ResponsesRequest, input_items, parse
from vibe_router.formats.responses.summary import seal_summary

__all__ = ["COMPACTION", "CompactionRequest", "compaction_of"]

# Fields that the request for the summary shares with the conversation.
_KEPT_FIELDS = frozenset(
    {"model", "input", "instructions", "previous_response_id", "prompt_cache_key", "reasoning", "metadata", "tags",
     "litellm_metadata", "user", "safety_identifier", "service_tier"}
)  # fmt: skip
_PROMPT = (
    "Summarize this conversation so that another model can continue it without seeing it. State the user's goals and "
    "requirements, decisions and their reasons, what was done and found (with names, paths, commands and values that "
    "are still needed), and the open steps in order. Quote instructions of the user that still apply. Call no tools. "
    "Answer with the summary only."
)


@dataclass(frozen=True, slots=True)
class CompactionRequest(ResponsesRequest):
    """A request for the summary of a conversation."""

    def with_history(
        self, history: Sequence[Mapping[str, Any]] | None, referenced: Mapping[str, Mapping[str, Any]]
    ) -> "CompactionRequest":
        """Return this request with the whole conversation, as `ResponsesRequest` does."""
        full = ResponsesRequest.with_history(self, history, referenced)
        body = {**full.body, "input": list(_as_text(full.body["input"]))}
        return CompactionRequest(full.model, False, body, tags=full.tags)


class _Compaction:
    """The format of callers of the compaction endpoint (a `ClientFormat`)."""

    name = "responses"
    heartbeat = sse.COMMENT
    error_body = staticmethod(error_body)

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> CompactionRequest:
        body = parse_object(raw)
        if not body.get("input") and not text(body, "previous_response_id"):
            raise bad_request("'input' or 'previous_response_id' is required.", "input")
        fields = {name: value for name, value in body.items() if name in _KEPT_FIELDS}
        request = parse(dump({**fields, "input": body.get("input") or [], "store": False}))
        prompt = {"type": "message", "role": "user", "content": _PROMPT}
        items = [*_as_text(input_items(request.body.get("input"))), prompt]
        return CompactionRequest(request.model, False, {**request.body, "input": items}, tags=request.tags)


COMPACTION = _Compaction()


def compaction_of(raw: bytes) -> bytes:
    """Return the compaction that holds the summary in a whole response. Raises ApiError (502) if there is none."""
    response = load(raw)
    summary = "\n".join(_texts(response)).strip()
    if response.get("status") != "completed" or not summary:
        message = "The model did not return a complete summary. Try again."
        raise ApiError(502, message, type="upstream_error", code="compaction_failed")
    id_ = str(response.get("id"))
    item = {"id": item_id("cmp", id_, 0), "type": "compaction", "encrypted_content": seal_summary(summary)}
    return dump(
        {
            "id": id_,
            "object": "response.compaction",
            "created_at": response.get("created_at"),
            "output": [item],
            "usage": response.get("usage"),
        }
    )


def _texts(response: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a whole response, of which a provider may have sent anything."""
    for item in _mappings(response.get("output")):
        if item.get("type") == "message":
            for part in _mappings(item.get("content")):
                if part.get("type") == "output_text" and isinstance(text_ := part.get("text"), str):
                    yield text_


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def _as_text(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield a conversation with its calls and their outputs as text, and without reasoning and hosted tools."""
    for item in items:
        kind = str(item.get("type") or "message")
        if kind.endswith("_output"):
            yield _message("user", f"Output of tool call {item.get('call_id') or item.get('id')}:", item.get("output"))
        elif kind.endswith("_call") and ("call_id" in item or "arguments" in item):
            arguments = next((item[key] for key in ("arguments", "input", "action") if key in item), None)
            name = item.get("name") or kind.removesuffix("_call")
            yield _message("assistant", f"Tool call {item.get('call_id') or item.get('id')}: {name}", arguments)
        elif kind in ("message", "agent_message", "item_reference") or "compaction" in kind:
            yield item


def _message(role: str, title: str, value: object) -> Mapping[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    shown = value if isinstance(value, str) else dump(value).decode()
    return {"type": "message", "role": role, "content": [{"type": kind, "text": f"{title}\n{shown}"}]}
