"""Messages: the format of Anthropic's API, for callers and for providers.

Shapes: Anthropic's API reference, "Messages" and "Streaming messages".
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vibe_router.formats.interfaces import AnswerDecoder, ClientRequest, StreamWriter
from vibe_router.formats.messages.assembly import MessagesAssembler
from vibe_router.formats.messages.errors import error_body
from vibe_router.formats.messages.request import parse
from vibe_router.formats.messages.stream import MessagesStreamReader, event, read_whole, to_events, usage_of

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event, NeutralRequest

__all__ = ["COUNT_PATH", "MESSAGES", "PATH"]

PATH = "/messages"

COUNT_PATH = "/messages/count_tokens"

_VERSION = "2023-06-01"  # the only one in Anthropic's reference

_OWN_KEY = "sk-ant-"


class _Messages:
    """Messages for callers and providers (`interfaces.ClientConversation` and `interfaces.ProviderConversation`)."""

    name = "messages"
    path = PATH
    streams = True
    media_types = ()
    heartbeat = event({"type": "ping"})
    parse = staticmethod(parse)
    error_body = staticmethod(error_body)
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    assembler = MessagesAssembler

    def headers(self, secret: str) -> dict[str, str]:
        keys = {"x-api-key": secret}
        if not secret.startswith(_OWN_KEY):  # relays read either header; to Anthropic a bearer is OAuth
            keys["authorization"] = f"Bearer {secret}"
        return {"anthropic-version": _VERSION, **keys}

    def reader(self, *, wants_usage: bool) -> MessagesStreamReader:  # noqa: ARG002 - a message always reports its usage
        return MessagesStreamReader()

    def to_events(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:  # noqa: ARG002 - as above
        return to_events(answer)

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.messages import neutral_request

        return neutral_request.body(request, model, stream=stream)

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.messages import neutral_answer

        return neutral_answer.MessagesDecoder(request)

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:  # noqa: ARG002 - a message has no date
        from vibe_router.formats.messages import neutral_answer

        return neutral_answer.MessagesWriter(request)

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:  # noqa: ARG002
        from vibe_router.formats.messages import neutral_answer

        return neutral_answer.whole(request, events)


MESSAGES = _Messages()
