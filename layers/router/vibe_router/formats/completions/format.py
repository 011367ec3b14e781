"""Legacy completions: text that continues a prompt, streamed or whole.

A provider of this format gets the request as sent; to all others the prompt is sent as a user's message (`neutral`).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vibe_router.formats.chat.stream import usage_of
from vibe_router.formats.common.openai import OpenAIFormat
from vibe_router.formats.completions.assembly import CompletionsAssembler
from vibe_router.formats.completions.request import CompletionsRequest, parse
from vibe_router.formats.completions.stream import CompletionsStreamReader, read_whole, to_events
from vibe_router.formats.interfaces import AnswerDecoder, ClientRequest, StreamWriter

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = ["COMPLETIONS"]


class _Completions(OpenAIFormat):
    """Legacy completions (`ClientConversation` and `StreamedFormat`): nothing is translated into this format."""

    name = "completions"
    path = "/completions"
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    to_events = staticmethod(to_events)
    assembler = CompletionsAssembler

    def parse(self, raw: bytes, _headers: Mapping[str, str]) -> CompletionsRequest:
        return parse(raw)

    def reader(self, *, wants_usage: bool) -> CompletionsStreamReader:
        return CompletionsStreamReader(wants_usage)

    def decoder(self, _request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.completions import neutral as completions_neutral

        return completions_neutral.CompletionsDecoder()

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:
        from vibe_router.formats.completions import neutral as completions_neutral

        return completions_neutral.CompletionsWriter(wants_usage=request.wants_usage, created=created)

    def whole(self, _request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:
        from vibe_router.formats.completions import neutral as completions_neutral

        return completions_neutral.whole(events, created)


COMPLETIONS = _Completions()
