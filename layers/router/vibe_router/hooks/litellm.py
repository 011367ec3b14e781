"""Runs an unmodified LiteLLM `CustomLogger` with `async_pre_call_hook` as hooks of this router.

    # router_hooks.py
    from my_litellm_hooks import proxy_handler_instance
    from vibe_router.hooks.litellm import before_request_of

    before_request = before_request_of(proxy_handler_instance)

The handler receives the body as LiteLLM hands it over: the caller's JSON with `model` and `metadata`. What it changes
or returns replaces the body; a text that it returns, or an exception that it raises, rejects the request.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from vibe_router.hooks import HookRequest

__all__ = ["before_request_of"]

_CALL_TYPES = {
    "chat": "completion",
    "completions": "text_completion",
    "messages": "anthropic_messages",
    "responses": "aresponses",
    "gemini": "generate_content",
    "embeddings": "embeddings",
    "images": "image_generation",
    "image_edits": "image_edit",
    "speech": "audio_speech",
    "transcriptions": "audio_transcription",
    "moderations": "moderation",
    "rerank": "rerank",
}


def before_request_of(handler: Any) -> Callable[[HookRequest], None]:
    """Return a `before_request` that calls `handler.async_pre_call_hook`."""

    def before_request(request: HookRequest) -> None:
        key = SimpleNamespace(
            api_key=request.key_id,
            token=request.key_id,
            key_alias=request.key_alias,
            team_id=request.team,
            user_id=request.user,
            end_user_id=None,
            metadata={},
            request_route=None,
        )
        metadata = {"headers": dict(request.headers), "tags": list(request.tags), "requester_ip_address": None}
        data = {
            **request.body,
            "model": request.model,
            "metadata": {**(request.body.get("metadata") or {}), **metadata},
        }
        given = request.body.get("metadata")
        call = handler.async_pre_call_hook(key, _Cache(), data, _CALL_TYPES.get(request.format, request.format))
        result = asyncio.run(call)
        if isinstance(result, str):
            request.reject(result)
        if isinstance(result, Exception):
            raise result
        data = result if isinstance(result, dict) else data
        request.model = str(data.pop("model", request.model))
        data.pop("metadata", None)
        named = {"model": request.model} if "model" in request.body else {}
        request.body = {**data, **named, **({} if given is None else {"metadata": given})}

    def guarded(request: HookRequest) -> None:
        try:
            before_request(request)
        except Exception as error:
            status = getattr(error, "status_code", None)  # of FastAPI's HTTPException
            if isinstance(status, int):
                detail = getattr(error, "detail", None)
                request.reject(str(detail if isinstance(detail, str) else error), status)
            raise

    return guarded


class _Cache:
    """The part of LiteLLM's DualCache that hooks use, within one environment."""

    _values: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose, as LiteLLM's cache is

    async def async_get_cache(self, key: str, **_: object) -> Any:
        return self._values.get(key)

    async def async_set_cache(self, key: str, value: Any, **_: object) -> None:
        if len(self._values) < 10_000:
            self._values[key] = value

    def get_cache(self, key: str, **_: object) -> Any:
        return self._values.get(key)

    def set_cache(self, key: str, value: Any, **_: object) -> None:
        if len(self._values) < 10_000:
            self._values[key] = value
