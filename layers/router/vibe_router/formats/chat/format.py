"""Chat completions, as callers and providers speak them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vibe_router.formats.chat.assembly import ChatAssembler
from vibe_router.formats.chat.request import ChatRequest, parse
from vibe_router.formats.chat.stream import ChatStreamReader, read_whole, to_events, usage_of
from vibe_router.formats.common.openai import OpenAIFormat
from vibe_router.formats.interfaces import AnswerDecoder, ClientRequest, StreamWriter

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = ["CHAT"]


class _Chat(OpenAIFormat):
    """Chat completions (`ClientConversation` and `ProviderConversation`)."""

    name = "chat"
    path = "/chat/completions"
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    to_events = staticmethod(to_events)
    assembler = ChatAssembler

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> ChatRequest:
        return parse(raw)

    def reader(self, *, wants_usage: bool) -> ChatStreamReader:
        return ChatStreamReader(wants_usage)

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.chat import neutral_request

        return neutral_request.body(request, model, stream=stream)

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.chat import neutral_answer

        return neutral_answer.ChatDecoder(request)

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        from vibe_router.formats.chat import neutral_answer

        return neutral_answer.ChatWriter(wants_usage=request.wants_usage, created=created)

    def whole(self, _request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        from vibe_router.formats.chat import neutral_answer

        return neutral_answer.whole(events, created)


CHAT = _Chat()
