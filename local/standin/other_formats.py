"""The other APIs of providers: embeddings, moderations, images, speech, transcriptions, rerank.

Each answer is computed from the request alone: it is deterministic, and shows that the input arrived. Sources of the
shapes: OpenAI's API reference; Jina's and Cohere's for rerank.
"""

import base64
import math
import re
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from local.standin.formats import AnswerContext, BadRequest, PassthroughFormat, PlainAnswer
from local.standin.text import excerpt, tokens_in

__all__ = ["EMBEDDINGS", "OTHERS"]

_DIMENSIONS = 16
_MOST_DIMENSIONS = 4096
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_FLAGGED = re.compile(r"\b(kill|attack)\b", re.IGNORECASE)
_SAMPLES_PER_SECOND = 8000
_SPEECH_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG of 1 × 1
)


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    return model


def _texts(given: object, param: str) -> list[str]:
    """Return the inputs as text; token ids become digits."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(each, int) for each in given):
            return [" ".join(map(str, given))]
        if all(isinstance(each, str | list | Mapping) for each in given):
            return [_text(each) for each in given]
    raise BadRequest(f"'{param}' must be a text or an array of texts", param)


def _text(given: object) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return str(given.get("text", given.get("type", "")))
    return " ".join(str(each) for each in given) if isinstance(given, list) else ""


class EmbeddingsFormat(PassthroughFormat):
    """Deterministic vectors: the same text gives the same vector."""

    name = "embeddings"
    paths: Sequence[str] = ("embeddings",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:  # noqa: ARG002 - the format's signature
        """Return a vector of length 1 for each input, as floats or in base64. Raises `BadRequest`."""
        model, texts = _model(body), _texts(body.get("input"), "input")
        size = body.get("dimensions", _DIMENSIONS)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _MOST_DIMENSIONS:
            raise BadRequest("'dimensions' must be a positive integer", "dimensions")
        encoding = body.get("encoding_format", "float")
        if encoding not in ("float", "base64"):
            raise BadRequest("'encoding_format' must be 'float' or 'base64'", "encoding_format")
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector.tolist() if encoding == "float" else base64.b64encode(vector.tobytes()).decode(),
            }
            for index, vector in enumerate(_vector(text, size) for text in texts)
        ]
        tokens = sum(tokens_in(text) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return PlainAnswer.json({"object": "list", "data": data, "model": model, "usage": usage})


def _vector(text: str, size: int) -> "array[float]":
    raw = [zlib.crc32(f"{at}:{text}".encode("utf-8", "replace")) / 2**31 - 1 for at in range(size)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    vector = array("f", [value / length for value in raw])
    if struct.pack("=f", 1.0) != struct.pack("<f", 1.0):  # base64 is of little-endian floats
        vector.byteswap()
    return vector


class ModerationsFormat(PassthroughFormat):
    """Classification by two words."""

    name = "moderations"
    paths: Sequence[str] = ("moderations",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return a classification of each input. Raises `BadRequest`."""
        results = []
        for text in _texts(body.get("input"), "input"):
            flagged = _FLAGGED.search(text) is not None
            found = {name: flagged and name == "violence" for name in _CATEGORIES}
            results.append(
                {
                    "flagged": flagged,
                    "categories": found,
                    "category_scores": {name: 0.98 if hit else 0.01 for name, hit in found.items()},
                    "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
                }
            )
        model = body.get("model", "omni-moderation-latest")
        return PlainAnswer.json({"id": f"modr-{context.unique}", "model": model, "results": results})


class ImagesFormat(PassthroughFormat):
    """Images of one pixel."""

    name = "images"
    paths: Sequence[str] = ("images/generations",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return the requested images. Raises `BadRequest`."""
        prompt, many = body.get("prompt"), body.get("n") or 1
        if not isinstance(prompt, str) or not prompt:
            raise BadRequest("'prompt' must be a text", "prompt")
        if not isinstance(many, int) or isinstance(many, bool) or not 1 <= many <= 10:
            raise BadRequest("'n' must be between 1 and 10", "n")
        image = (
            {"url": "https://example.com/image.png"} if body.get("response_format") == "url" else {"b64_json": _PIXEL}
        )
        tokens = tokens_in(prompt)
        usage = {
            "input_tokens": tokens,
            "input_tokens_details": {"text_tokens": tokens, "image_tokens": 0},
            "output_tokens": many,
            "total_tokens": tokens + many,
        }
        data = [{**image, "revised_prompt": excerpt(prompt)} for _ in range(many)]
        return PlainAnswer.json({"created": context.created, "data": data, "usage": usage})


class ImageEditsFormat(PassthroughFormat):
    """Images of one pixel, whatever was sent."""

    name = "image_edits"
    paths: Sequence[str] = ("images/edits",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return an image. Raises `BadRequest`."""
        _model(body)
        images = [value for name, value in body.items() if name in ("image", "image[]", "images")]
        if not images:
            raise BadRequest("'image' must be a file of a form", "image")
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise BadRequest("'prompt' must be a text", "prompt")
        tokens = tokens_in(prompt)
        usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
        return PlainAnswer.json({"created": context.created, "data": [{"b64_json": _PIXEL}], "usage": usage})


class SpeechFormat(PassthroughFormat):
    """Silence, in proportion to the length of the text."""

    name = "speech"
    paths: Sequence[str] = ("audio/speech",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:  # noqa: ARG002 - the format's signature
        """Return silence in the requested format; only WAV and PCM are playable. Raises `BadRequest`."""
        _model(body)
        text, form = body.get("input"), body.get("response_format") or "mp3"
        if not isinstance(text, str) or not text:
            raise BadRequest("'input' must be a text", "input")
        if form not in _SPEECH_TYPES:
            raise BadRequest("'response_format' is unknown", "response_format")
        samples = bytes(2 * min(_SAMPLES_PER_SECOND * 60, 400 * len(text)))
        data = _wav(samples) if form == "wav" else samples
        return PlainAnswer(data, _SPEECH_TYPES[form])


def _wav(samples: bytes) -> bytes:
    rate = _SAMPLES_PER_SECOND
    about = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVEfmt " + about + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


class TranscriptionsFormat(PassthroughFormat):
    """A text with the name and size of the file."""

    name = "transcriptions"
    paths: Sequence[str] = ("audio/transcriptions",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return a text about the uploaded file. Raises `BadRequest`."""
        _model(body)
        file = body.get("file")
        if not isinstance(file, Mapping):
            raise BadRequest("'file' must be a file of a form", "file")
        size = int(file["size"])
        text = f"This is the {context.provider} stand-in; {file['filename']} has {size} bytes, and was not transcribed."
        seconds = max(1, size // (2 * _SAMPLES_PER_SECOND))
        match body.get("response_format") or "json":
            case "text":
                return PlainAnswer(text.encode() + b"\n", "text/plain; charset=utf-8")
            case "verbose_json":
                segments = {"id": 0, "seek": 0, "start": 0.0, "end": float(seconds), "text": text, "tokens": []}
                scores = {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.5}
                return PlainAnswer.json(
                    {
                        "task": "transcribe",
                        "language": str(body.get("language") or "english"),
                        "duration": float(seconds),
                        "text": text,
                        "segments": [{**segments, **scores}],
                        "usage": {"type": "duration", "seconds": seconds},
                    }
                )
            case "json":
                return PlainAnswer.json({"text": text, "usage": {"type": "duration", "seconds": seconds}})
            case _:
                raise BadRequest("'response_format' is unknown", "response_format")


class RerankFormat(PassthroughFormat):
    """Documents ordered by the number of query words in them."""

    name = "rerank"
    paths: Sequence[str] = ("rerank",)

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> PlainAnswer:
        """Return the documents' indexes and scores, best first. Raises `BadRequest`."""
        model, query, documents = _model(body), body.get("query"), body.get("documents")
        if not isinstance(query, str) or not query:
            raise BadRequest("'query' must be a text", "query")
        texts = _texts(documents, "documents")
        wanted = {word.lower() for word in query.split()}
        scores = [len(wanted & {word.lower() for word in text.split()}) / max(1, len(wanted)) for text in texts]
        best = sorted(range(len(texts)), key=lambda at: -scores[at])
        many = body.get("top_n") or len(texts)
        if not isinstance(many, int) or isinstance(many, bool) or many < 1:
            raise BadRequest("'top_n' must be a positive integer", "top_n")
        results: list[dict[str, Any]] = [{"index": at, "relevance_score": scores[at]} for at in best[:many]]
        if body.get("return_documents"):
            results = [{**result, "document": {"text": texts[result["index"]]}} for result in results]
        tokens = tokens_in(query) + sum(tokens_in(text) for text in texts)
        return PlainAnswer.json(
            {"id": context.unique, "model": model, "results": results, "usage": {"total_tokens": tokens}}
        )


EMBEDDINGS = EmbeddingsFormat()
OTHERS = (
    EMBEDDINGS,
    ModerationsFormat(),
    ImagesFormat(),
    ImageEditsFormat(),
    SpeechFormat(),
    TranscriptionsFormat(),
    RerankFormat(),
)
