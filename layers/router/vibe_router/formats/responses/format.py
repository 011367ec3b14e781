"""The Responses wire format, for callers and for providers."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vibe_router.formats.common.openai import OpenAIFormat
from vibe_router.formats.interfaces import AnswerDecoder, ClientRequest, StreamWriter
from vibe_router.formats.responses.request import ResponsesRequest, parse
from vibe_router.formats.responses.stream import (
    ResponsesAssembler,
    ResponsesStreamReader,
    read_whole,
    to_events,
    usage_of,
)

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = ["PATH", "RESPONSES"]

PATH = "/responses"


class _Responses(OpenAIFormat):
    """Responses, from both sides (`ClientConversation` and `ProviderConversation`)."""

    name = "responses"
    path = PATH
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    to_events = staticmethod(to_events)
    assembler = ResponsesAssembler

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> ResponsesRequest:
        return parse(raw)

    def reader(self, *, wants_usage: bool) -> ResponsesStreamReader:  # noqa: ARG002 - always reported here
        return ResponsesStreamReader()

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.responses import neutral_request

        return neutral_request.body(request, model, stream=stream)

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.responses.neutral_answer import ResponsesDecoder
        from vibe_router.formats.translation import restore_tool_names

        return restore_tool_names(ResponsesDecoder(), request)

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        from vibe_router.formats.responses import writer as responses_writer

        return responses_writer.ResponsesWriter(request, created)

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        from vibe_router.formats.responses import writer as responses_writer

        return responses_writer.whole(request, events, created)


RESPONSES = _Responses()
