"""Messages: the format of Anthropic's API, for callers and for providers.

Shapes: Anthropic's API reference, "Messages" and "Streaming messages".
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vibe_router.formats.interfaces import Decoder, Request, Writer
from vibe_router.formats.messages.assembly import Assembly
from vibe_router.formats.messages.errors import error_body
from vibe_router.formats.messages.request import parse
from vibe_router.formats.messages.stream import StreamReader, event, read_whole, unfold, usage_of

if TYPE_CHECKING:
    from vibe_router.formats.neutral import model as neutral

__all__ = ["COUNT_PATH", "MESSAGES", "PATH"]

PATH = "/messages"

COUNT_PATH = "/messages/count_tokens"

_VERSION = "2023-06-01"  # the only one that Anthropic's reference knows

_OWN_KEY = "sk-ant-"


class _Messages:
    """Messages, from both sides (`wire.ClientConversation` and `wire.ProviderConversation`)."""

    name = "messages"
    path = PATH
    streams = True
    opaque = False
    heartbeat = event({"type": "ping"})
    parse = staticmethod(parse)
    error_body = staticmethod(error_body)
    read_whole = staticmethod(read_whole)
    usage_of = staticmethod(usage_of)
    assembly = Assembly

    def headers(self, secret: str) -> dict[str, str]:
        keys = {"x-api-key": secret}
        if not secret.startswith(_OWN_KEY):  # relays look at either; Anthropic takes a bearer for another kind of key
            keys["authorization"] = f"Bearer {secret}"
        return {"anthropic-version": _VERSION, **keys}

    def reader(self, *, wants_usage: bool) -> StreamReader:  # noqa: ARG002 - a message always tells its usage
        return StreamReader()

    def unfold(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:  # noqa: ARG002 - as above
        return unfold(answer)

    def body(self, request: "neutral.Request", model: str, *, stream: bool) -> bytes:
        from vibe_router.formats.messages import neutral_request as messages_request

        return messages_request.body(request, model, stream=stream)

    def decoder(self, request: "neutral.Request") -> Decoder:
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.Decoder(request)

    def writer(self, request: Request, created: int) -> Writer:  # noqa: ARG002 - a message has no date
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.Writer(request)

    def whole(self, request: Request, events: "Iterable[neutral.Event]", created: int) -> bytes:  # noqa: ARG002
        from vibe_router.formats.messages import neutral_answer as messages_answer

        return messages_answer.whole(request, events)


MESSAGES = _Messages()
