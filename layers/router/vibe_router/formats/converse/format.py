"""Converse: Amazon Bedrock's own format, which providers speak and no caller does.

Requests and answers resemble Anthropic's Messages, so both are translated by way of that format: see `neutral`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vibe_router.core.usage import Usage
from vibe_router.formats.converse.assembly import ConverseAssembler
from vibe_router.formats.converse.stream import ConverseStreamReader, read_usage, read_whole, to_events
from vibe_router.formats.interfaces import AnswerDecoder

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["CONVERSE"]


class _Converse:
    """Converse for providers (`interfaces.ProviderConversation`)."""

    name = "converse"
    path = ""  # it contains the model: see `upstream.bedrock`
    media_types = ()
    streams = True
    read_whole = staticmethod(read_whole)
    assembler = ConverseAssembler

    def headers(self, secret: str) -> dict[str, str]:  # noqa: ARG002 - calls are signed, not keyed
        return {}

    def reader(self, *, wants_usage: bool) -> ConverseStreamReader:  # noqa: ARG002 - usage is always reported
        return ConverseStreamReader()

    def usage_of(self, answer: Mapping[str, Any]) -> Usage:
        return read_usage(answer.get("usage"))

    def to_events(self, answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:  # noqa: ARG002 - as above
        return to_events(answer)

    def body(self, request: "NeutralRequest", model: str, *, stream: bool) -> bytes:  # noqa: ARG002 - the path says it
        from vibe_router.formats.converse import neutral as translation

        return translation.body(request, model)

    def decoder(self, request: "NeutralRequest") -> AnswerDecoder:
        from vibe_router.formats.converse import neutral as translation
        from vibe_router.formats.translation import restore_tool_names

        return restore_tool_names(translation.ConverseDecoder(request), request)


CONVERSE = _Converse()
