"""Formats that pass unchanged: embeddings, moderations, images and their edits, speech, transcriptions, rerank.

None of these is a conversation, so none is translated: a deployment serves one if its `formats` include it, with the
same failover as all others. Only `model` is replaced. Answers are not streamed. Shapes: OpenAI's API reference; Jina's
and Cohere's for rerank.

Speech is answered in bytes, and transcriptions may be text; transcriptions and edits are requested in a multipart form.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from vibe_router.core.errors import bad_request, error_body
from vibe_router.core.usage import Usage, count, read_chat
from vibe_router.formats.common import sse
from vibe_router.formats.common.fields import check_ranges
from vibe_router.formats.common.json_body import dump, load, parse_object
from vibe_router.formats.common.multipart import read_form
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults

__all__ = [
    "EMBEDDINGS",
    "IMAGES",
    "IMAGE_EDITS",
    "MODERATIONS",
    "RERANK",
    "SPEECH",
    "TRANSCRIPTIONS",
    "PassthroughFormat",
    "PassthroughRequest",
]

_MAX_MODEL_BYTES = 1024
_TRUE = (b"true", b"1")  # in a form
_FILES = frozenset({"file", "image", "image[]", "mask"})  # fields of a form in which providers read files
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class PassthroughRequest(RequestDefaults):
    """A caller's request. `form` is a multipart form's bytes before and after the model's name; None for JSON."""

    format: str
    model: str
    body: Mapping[str, Any]
    read: str = ""  # the field with the model's input
    form: tuple[bytes, bytes] | None = None
    content_type: str = "application/json"
    tags: tuple[str, ...] = ()
    form_text: int = 0  # bytes of a form's fields that are not files

    stream = False
    wants_usage = False
    max_output_tokens = 0  # answers are not text, or as long as the audio

    @property
    def forwarded_headers(self) -> Mapping[str, str]:
        """Return the body's content type."""
        return {"content-type": self.content_type}

    def prompt_tokens_estimate(self) -> int:
        """Return an estimate of the input's tokens; sounds and images of a form are not counted."""
        return estimate(text=prompt_fields(self.body, ())) + self.form_text // _BYTES_PER_TOKEN

    def affinity(self) -> bytes:
        """Return a digest of the input. Raises ApiError (400), as `for_provider` does."""
        asked = b"".join(self.form) if self.form else dump(self.body.get(self.read))
        return hashlib.blake2b(asked, digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:  # noqa: ARG002 - neither
        """Return the body for a provider's `model`. Raises ApiError (400)."""
        if self.form:
            return model.encode().join(self.form)
        return dump({**self.body, "model": model})

    def neutral(self) -> NoReturn:
        """Raise ApiError (400): only conversations have a neutral form."""
        raise bad_request(
            f"Requests in the format '{self.format}' cannot be translated into another one.",
            "model",
            "unsupported_format",
        )


class PassthroughFormat:
    """One of these formats. `read` is the request's field with the input, `holds` are the fields of a JSON answer."""

    streams = False
    heartbeat = sse.COMMENT
    error_body = staticmethod(error_body)

    def __init__(
        self, name: str, path: str, *, read: str, holds: Sequence[str], media_types: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.path = path
        self.media_types = media_types
        self._read = read
        self._holds = holds

    def parse(self, raw: bytes, headers: Mapping[str, str]) -> PassthroughRequest:
        """Return the request in `raw`. Raises ApiError (400)."""
        content_type = headers.get("content-type", "")
        if content_type.lower().startswith("multipart/form-data"):
            return self._parse_form(raw, content_type)
        body = parse_object(raw)
        tags = take_tags(body)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise bad_request("'model' is missing; it must be a string.", "model")
        check_ranges(body)
        if not body.get(self._read):
            raise bad_request(f"'{self._read}' is missing.", self._read)
        for name, whole in (("stream", (None, False)), ("stream_format", (None, "audio"))):
            if body.get(name) not in whole:
                raise bad_request(f"Streaming is not supported for {self.name}: leave '{name}' out.", name)
        return PassthroughRequest(self.name, model, body, self._read, tags=tags)

    def _parse_form(self, raw: bytes, content_type: str) -> PassthroughRequest:
        fields, content_type = read_form(raw, content_type)
        if any(each.name == "stream" and raw[each.start : each.end].strip().lower() in _TRUE for each in fields):
            raise bad_request(f"Streaming is not supported for {self.name}: leave 'stream' out.", "stream")
        found = next((each for each in fields if each.name == "model"), None)
        if found is None or found.end - found.start > _MAX_MODEL_BYTES:
            raise bad_request("'model' is missing from the multipart form, or too long.", "model")
        model = raw[found.start : found.end].decode("utf-8", "replace").strip()
        if not model:
            raise bad_request("'model' is empty in the multipart form.", "model")
        form = raw[: found.start], raw[found.end :]
        text = sum(each.end - each.start for each in fields if each.name not in _FILES)
        return PassthroughRequest(self.name, model, {}, self._read, form, content_type, form_text=text)

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers of the call, with the key."""
        return {"authorization": f"Bearer {secret}", **({"accept": "*/*"} if self.media_types else {})}

    def read_whole(self, raw: bytes) -> dict[str, Any] | None:
        """Parse the answer in `raw`; None if it is not JSON, an error, or has none of the expected fields."""
        try:
            answer = load(raw)
        except ValueError:
            return None
        if not isinstance(answer, dict) or answer.get("error"):
            return None
        return answer if any(answer.get(name) is not None for name in self._holds) else None

    def usage_of(self, answer: Mapping[str, Any]) -> Usage:
        """Return the usage in `answer`; images and transcriptions name its fields as Responses does."""
        usage = answer.get("usage")
        reported = read_chat(usage)
        if reported.known or not isinstance(usage, dict):
            return reported
        audio = count(usage.get("input_token_details"), "audio_tokens")  # transcriptions' spelling
        prompt, completion = count(usage, "input_tokens", "total_tokens"), count(usage, "output_tokens")
        return Usage(prompt, completion, audio_prompt_tokens=audio)


# Media types of answers in bytes. None is one that a browser would run, as it would HTML or SVG.
_IMAGE = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
_AUDIO = ("audio/", "application/octet-stream")
_TEXT = ("text/plain", "text/vtt", "text/srt", "application/x-subrip")

EMBEDDINGS = PassthroughFormat("embeddings", "/embeddings", read="input", holds=("data",))
MODERATIONS = PassthroughFormat("moderations", "/moderations", read="input", holds=("results",))
IMAGES = PassthroughFormat("images", "/images/generations", read="prompt", holds=("data",), media_types=_IMAGE)
IMAGE_EDITS = PassthroughFormat("image_edits", "/images/edits", read="prompt", holds=("data",), media_types=_IMAGE)
SPEECH = PassthroughFormat("speech", "/audio/speech", read="input", holds=("audio",), media_types=_AUDIO)
TRANSCRIPTIONS = PassthroughFormat(
    "transcriptions", "/audio/transcriptions", read="file", holds=("text",), media_types=_TEXT
)
RERANK = PassthroughFormat("rerank", "/rerank", read="documents", holds=("results",))
