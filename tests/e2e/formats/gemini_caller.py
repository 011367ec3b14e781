"""Gemini, by the `google-genai` package."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from google import genai
from google.genai import errors, types

from tests.e2e.formats.callers import Answer, Ask, Call, Image, Reading, same

__all__ = ["GeminiCaller"]

_MILLISECONDS = 60_000


class GeminiError(Exception):
    """The package's error, with the status where the other packages have it."""

    def __init__(self, error: errors.APIError) -> None:
        super().__init__(str(error))
        self.status_code = error.code


class GeminiCaller:
    """Gemini, by the `google-genai` package, which gives `alt=sse` to every stream."""

    failures: tuple[type[Exception], ...] = (GeminiError,)

    def __init__(self, root: str, key: str) -> None:
        options = types.HttpOptions(base_url=root, timeout=_MILLISECONDS)
        self._client = genai.Client(api_key=key, http_options=options, vertexai=False)

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask) -> Answer:
        try:
            answer = self._client.models.generate_content(model=model, contents=_contents(ask), config=_config(ask))
        except errors.APIError as error:
            raise GeminiError(error) from error
        return _answer([answer])

    def stream(self, model: str, ask: Ask) -> Answer:
        return _answer(list(self._chunks(model, ask)))

    def pieces(self, model: str, ask: Ask) -> AbstractContextManager[Iterable[str]]:
        chunks = self._chunks(model, ask)
        return Reading(chunks, (part.text or "" for chunk in chunks for part in _parts(chunk)))

    def _chunks(self, model: str, ask: Ask) -> Any:
        try:
            yield from self._client.models.generate_content_stream(
                model=model, contents=_contents(ask), config=_config(ask)
            )
        except errors.APIError as error:
            raise GeminiError(error) from error


def _contents(ask: Ask) -> list[types.Content]:
    contents: list[types.Content] = []
    names: dict[str, str] = {}
    for turn in ask.talk:
        match turn:
            case str():
                contents.append(types.UserContent(parts=[types.Part.from_text(text=turn)]))
            case Answer():
                contents.append(turn.turn)
                names |= {call.id: call.name for call in turn.calls}
            case dict():
                responses = [
                    types.Part(
                        function_response=types.FunctionResponse(id=id_, name=names[id_], response={"output": given})
                    )
                    for id_, given in turn.items()
                ]
                contents.append(types.UserContent(parts=responses))
            case _:
                contents.append(types.UserContent(parts=[_part(part) for part in turn]))
    return contents


def _part(part: Any) -> types.Part:
    if isinstance(part, Image):
        import base64

        media_type, _, data = part.url.removeprefix("data:").partition(";base64,")
        return types.Part.from_bytes(data=base64.b64decode(data), mime_type=media_type)
    return types.Part.from_text(text=part)


def _config(ask: Ask) -> types.GenerateContentConfig:
    fields: dict[str, Any] = {}
    if ask.system:
        fields["system_instruction"] = ask.system
    if ask.tools:
        functions = [
            types.FunctionDeclaration(name=tool.name, parameters_json_schema=tool.schema) for tool in ask.tools
        ]
        fields["tools"] = [types.Tool(function_declarations=functions)]
    if ask.force:
        calling = types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=[ask.force]
        )
        fields["tool_config"] = types.ToolConfig(function_calling_config=calling)
    if ask.schema:
        fields |= {"response_mime_type": "application/json", "response_json_schema": ask.schema}
    if ask.stop:
        fields["stop_sequences"] = [ask.stop]
    if ask.limit:
        fields["max_output_tokens"] = ask.limit
    if ask.think:
        fields["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    return types.GenerateContentConfig(**fields)


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    [candidate] = chunk.candidates or []
    assert candidate.content is not None
    return candidate.content.parts or []


def _answer(chunks: Sequence[types.GenerateContentResponse]) -> Answer:
    """Return the answer of all chunks, whose last one has the reason and the usage."""
    parts: list[types.Part] = []
    for chunk in chunks:
        for part in _parts(chunk):
            if parts and _continues(parts[-1], part):
                parts[-1] = parts[-1].model_copy(update={"text": f"{parts[-1].text}{part.text}"})
            elif part.text != "" or part.thought_signature:
                parts.append(part)
    last = chunks[-1]
    [candidate] = last.candidates or []
    usage = last.usage_metadata
    assert usage is not None
    assert candidate.finish_reason is not None
    calls = [
        Call(part.function_call.name or "", part.function_call.args or {}, part.function_call.id or "")
        for part in parts
        if part.function_call
    ]
    finish = {"STOP": "tools" if calls else "stop", "MAX_TOKENS": "length"}[candidate.finish_reason.value]
    content = types.ModelContent(parts=parts)
    return Answer(
        text="".join(part.text or "" for part in parts if not part.thought),
        calls=calls,
        finish=finish,  # type: ignore[arg-type] # the table's values are the literals
        model=last.model_version or "",
        reasoning="".join(part.text or "" for part in parts if part.thought),
        prompt_tokens=usage.prompt_token_count or 0,
        completion_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        turn=content,
        everything=same(
            [json.loads(content.model_dump_json(exclude={"thought_signature"})), usage.model_dump(mode="json")]
        ),
    )


def _continues(before: types.Part, part: types.Part) -> bool:
    """Return whether a part of a stream goes on with the text before it."""
    is_text = part.text is not None and before.text is not None and not part.thought_signature
    return is_text and bool(part.thought) == bool(before.thought)
