"""The wire formats that the router speaks: one entry for each. The code of a format is imported by `formats.registry`.

A new format is one folder below `formats/` and one entry here. Everything else that lists formats is derived from this
table: which of them routes may declare, the paths that callers post to, and what can be translated into what.
"""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["CLIENT_PATHS", "DECLARABLE", "WIRE_FORMATS", "WireFormat"]


class WireFormat(NamedTuple):
    """One wire format.

    `client_path` (without /v1) is where callers post requests in it; None for a format that only providers speak, and
    for one `of_callers` whose paths name the model.
    `translates_from`: its requests have a neutral form. `translates_to`: the neutral form can be written in it.
    `streams`: its answers can be asked for as a stream. `declarable`: a provider in routes may name it.
    `module` is where its code is, below `vibe_router.formats`; there, the constant in capitals is the format.
    `litellm_mode` is LiteLLM's word for models of this kind.
    """

    name: str
    client_path: str | None
    module: str
    translates_from: bool = False
    translates_to: bool = False
    streams: bool = False
    declarable: bool = True
    of_callers: bool = False
    litellm_mode: str = "chat"


_ENTRIES = (
    WireFormat("chat", "/chat/completions", "chat.format", translates_from=True, translates_to=True, streams=True),
    WireFormat(
        "completions",
        "/completions",
        "completions.format",
        translates_from=True,
        streams=True,
        litellm_mode="completion",
    ),
    WireFormat("responses", "/responses", "responses.format", translates_from=True, translates_to=True, streams=True),
    WireFormat("messages", "/messages", "messages.format", translates_from=True, translates_to=True, streams=True),
    WireFormat("converse", None, "converse.format", translates_to=True, streams=True, declarable=False),
    WireFormat("gemini", None, "gemini.format", translates_from=True, declarable=False, of_callers=True),
    WireFormat("embeddings", "/embeddings", "passthrough", litellm_mode="embedding"),
    WireFormat("moderations", "/moderations", "passthrough", litellm_mode="moderation"),
    WireFormat("images", "/images/generations", "passthrough", litellm_mode="image_generation"),
    WireFormat("image_edits", "/images/edits", "passthrough", litellm_mode="image_edit"),
    WireFormat("speech", "/audio/speech", "passthrough", litellm_mode="audio_speech"),
    WireFormat("transcriptions", "/audio/transcriptions", "passthrough", litellm_mode="audio_transcription"),
    WireFormat("rerank", "/rerank", "passthrough", litellm_mode="rerank"),
)

WIRE_FORMATS: Mapping[str, WireFormat] = {entry.name: entry for entry in _ENTRIES}
DECLARABLE = tuple(entry.name for entry in _ENTRIES if entry.declarable)
# The format of each path that callers post to.
CLIENT_PATHS: Mapping[str, str] = {entry.client_path: entry.name for entry in _ENTRIES if entry.client_path}
