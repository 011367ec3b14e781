"""A caller's request in Gemini's format, checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Types, check_magnitude
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.gemini.names import camel
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["GeminiRequest", "parse", "parse_count"]

_TYPES: Types = {
    "contents": ((list, dict, str), "an array"),
    "systemInstruction": ((dict, str), "an object"),
    "tools": ((list,), "an array"),
    "toolConfig": ((dict,), "an object"),
    "generationConfig": ((dict,), "an object"),
}
_COUNTS = ("maxOutputTokens", "candidateCount", "topK", "seed", "logprobs")
_MOST_CANDIDATES = 1_000


@dataclass(frozen=True, slots=True)
class GeminiRequest(RequestDefaults):
    """A caller's request, checked. `body` and its `generationConfig` have their names in camel case.

    `events`: a stream consists of server-sent events and not of one JSON array.
    """

    model: str
    stream: bool
    body: Mapping[str, Any]
    events: bool = False
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    wants_usage = True  # an answer always reports it

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "gemini"

    @property
    def config(self) -> Mapping[str, Any]:
        """The request's `generationConfig`."""
        return self.body.get("generationConfig") or {}

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        return self.config.get("maxOutputTokens") or None

    @property
    def answers(self) -> int:
        """Return the number of candidates."""
        return self.config.get("candidateCount") or 1

    @property
    def shows_thoughts(self) -> bool:
        """Return whether the caller wants thoughts in the answer."""
        thinking = self.config.get("thinkingConfig")
        return isinstance(thinking, dict) and camel(thinking).get("includeThoughts") is True

    def continued(self, text: str) -> "GeminiRequest":
        """Return the request for the rest of an answer that begins with `text`."""
        contents = [*self.body["contents"], {"role": "model", "parts": [{"text": text}]}]
        return GeminiRequest(self.model, self.stream, {**self.body, "contents": contents}, self.events, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Estimate the number of tokens in the prompt."""
        contents = [_for_estimate(part) for content in self.body["contents"] for part in content.get("parts") or ()]
        return estimate(content=contents, text=prompt_fields(self.body, ("contents",)))

    def affinity(self) -> bytes:
        """Return a digest of the contents up to the first user's, which stays the same while a conversation grows."""
        opening: list[object] = []
        for content in self.body["contents"]:
            opening.append(content)
            if content.get("role") != "model":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> NoReturn:  # noqa: ARG002
        """Raise TypeError: no provider is asked in this format."""
        raise TypeError("no provider is asked in Gemini's format")

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for a malformed request."""
        if not self._neutral:
            from vibe_router.formats.gemini import neutral_request

            self._neutral.append(neutral_request.read(self.body))
        return self._neutral[0]


def _for_estimate(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a part as the estimate knows it: inline data as the content part of another format, beside the rest."""
    inline = part.get("inlineData") or part.get("inline_data")
    if not isinstance(inline, dict):
        return [part]
    inline = camel(inline)
    media_type = inline.pop("mimeType", None)
    kind = "image" if str(media_type).startswith("image/") else "document"
    rest = {name: value for name, value in part.items() if name not in ("inlineData", "inline_data")}
    return [rest, {"type": kind, "source": {**inline, "media_type": media_type}}]


def parse(raw: bytes, model: str | None = None, *, stream: bool = False, events: bool = False) -> GeminiRequest:
    """Parse a request; without `model`, the body names it. Raises ApiError (400) with the field that is wrong."""
    body = parse_object(raw)
    tags = take_tags(body)
    return _checked(camel(body), model, stream=stream, events=events, tags=tags)


def parse_count(raw: bytes, model: str) -> GeminiRequest:
    """Parse a request to count tokens: contents, or a whole request in `generateContentRequest`. Raises ApiError."""
    body = camel(parse_object(raw))
    inner = body.get("generateContentRequest")
    return _checked(camel(inner) if isinstance(inner, dict) else body, model)


def _checked(
    body: dict[str, Any],
    model: str | None,
    *,
    stream: bool = False,
    events: bool = False,
    tags: tuple[str, ...] = (),
) -> GeminiRequest:
    named = body.pop("model", None)
    if model is None:
        model = named.removeprefix("models/") if isinstance(named, str) else None
    if not model:
        raise bad_request("'model' is missing.", "model")
    for name, (allowed, wanted) in _TYPES.items():
        if body.get(name) is not None and not isinstance(body[name], allowed):
            raise bad_request(f"'{name}' must be {wanted}.", name)
    body["contents"] = _contents(body.get("contents"))
    if body.get("generationConfig"):
        body["generationConfig"] = config = camel(body["generationConfig"])
        for name in _COUNTS:
            config[name] = _whole(config.get(name), f"generationConfig.{name}")
        if not 0 <= (config["candidateCount"] or 1) <= _MOST_CANDIDATES:
            raise bad_request(
                f"'generationConfig.candidateCount' must be from 1 to {_MOST_CANDIDATES}.",
                "generationConfig.candidateCount",
            )
        if (config["maxOutputTokens"] or 0) < 0:
            raise bad_request(
                "'generationConfig.maxOutputTokens' must not be negative.", "generationConfig.maxOutputTokens"
            )
        check_magnitude(config["maxOutputTokens"], "max_output_tokens", "generationConfig.")
    return GeminiRequest(model, stream, body, events, tags)


def _contents(value: object) -> list[dict[str, Any]]:
    """Return the contents; a single one and a text are accepted, as Google does. Raises ApiError (400)."""
    contents = value if isinstance(value, list) else [value]
    if value is None or not contents:
        raise bad_request("'contents' must hold at least one entry.", "contents")
    checked: list[dict[str, Any]] = []
    for index, content in enumerate(contents):
        at = f"contents[{index}]"
        if isinstance(content, str):
            content = {"role": "user", "parts": [{"text": content}]}  # noqa: PLW2901 - the same content, written out
        if not isinstance(content, dict):
            raise bad_request(f"'{at}' must be an object.", at)
        parts = content.get("parts")
        if parts is not None and not isinstance(parts, list):
            parts = [parts]
        for number, part in enumerate(parts or ()):
            if not isinstance(part, dict):
                raise bad_request(f"'{at}.parts[{number}]' must be an object.", f"{at}.parts[{number}]")
        checked.append({**content, "parts": parts or []})
    return checked


def _whole(value: Any, at: str) -> int | None:
    """Return an integer, which JSON of protocol buffers may write as a string or as 5.0. Raises ApiError (400)."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(f"'{at}' must be an integer.", at)
    check_magnitude(value, at.rpartition(".")[2], f"{at.rpartition('.')[0]}.")
    return value
