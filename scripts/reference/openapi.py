"""functions/gateway/gateway/openapi.json: the model API in OpenAPI, from the table of wire formats.

The gateway serves the file at /openapi.json. Only fields that most clients need are described: formats pass others on.
"""

import json
from typing import Any

from vibe_router.core.wire_formats import WIRE_FORMATS

__all__ = ["document", "page"]

Schema = dict[str, Any]

_MODEL = {"type": "string", "description": "A virtual model, such as auto-chat."}
_STREAM = {"type": "boolean", "description": "Answer with server-sent events.", "default": False}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _whole(description: str) -> Schema:
    return {"type": "integer", "minimum": 1, "description": description}


def _list(description: str, items: str = "object") -> Schema:
    return {"type": "array", "items": {"type": items}, "description": description}


def _either(description: str, *kinds: str) -> Schema:
    return {"anyOf": [{"type": kind} if kind != "array" else {"type": kind, "items": {}} for kind in kinds]} | {
        "description": description
    }


def _body(required: tuple[str, ...], example: Schema | None = None, **properties: Schema) -> Schema:
    schema: Schema = {
        "type": "object",
        "required": ["model", *required],
        "properties": {"model": _MODEL, **properties},
        "additionalProperties": True,
    }
    return schema | {"examples": [{"model": "auto-chat", **example}]} if example else schema


_SAMPLING = {
    "temperature": {"type": "number", "description": "Randomness of the answer."},
    "top_p": {"type": "number", "description": "Share of probability mass to sample from."},
}
_HELLO = [{"role": "user", "content": "Say hello."}]

_GEMINI: Schema = {
    "type": "object",
    "required": ["contents"],
    "properties": {
        "contents": _list("The conversation: each with `role` and `parts`."),
        "systemInstruction": {"type": "object", "description": "The system prompt, in `parts`."},
        "tools": _list("Functions in `functionDeclarations`."),
        "toolConfig": {"type": "object", "description": "Which function to call."},
        "generationConfig": {"type": "object", "description": "Limits, sampling, JSON schema, thinking."},
    },
    "additionalProperties": True,
    "examples": [{"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}],
}

_FEEDBACK: Schema = {
    "type": "object",
    "required": ["request_id", "value"],
    "properties": {
        "request_id": _text("The `x-vibe-request-id` of an answer to the same key."),
        "value": {"type": "integer", "enum": [1, -1], "description": "1 for a good answer, -1 for a bad one."},
    },
    "additionalProperties": False,
    "examples": [{"request_id": "6f1c7d0e", "value": 1}],
}

# Format: tag, summary, description of the answer, and the body.
_FORMATS: dict[str, tuple[str, str, str, Schema]] = {
    "chat": (
        "Conversations",
        "Create a chat completion",
        "The completion, or chat.completion.chunk events that end with [DONE].",
        _body(
            ("messages",),
            {"messages": _HELLO},
            messages=_list("The conversation."),
            stream=_STREAM,
            stream_options={"type": "object", "description": "`include_usage`: end a stream with a chunk of usage."},
            max_completion_tokens=_whole("Most tokens of the answer; `max_tokens` means the same."),
            tools=_list("Functions that the model may call."),
            tool_choice=_either("Which tool to call.", "string", "object"),
            response_format={"type": "object", "description": "Text, JSON, or a JSON schema."},
            reasoning_effort=_text("How much to reason: minimal, low, medium, high."),
            **_SAMPLING,
        ),
    ),
    "completions": (
        "Conversations",
        "Create a completion",
        "The completion, or its events that end with [DONE].",
        _body(
            ("prompt",),
            {"prompt": "Once upon a time"},
            prompt=_either("The text to continue, or several.", "string", "array"),
            suffix=_text("The text after the completion."),
            stream=_STREAM,
            max_tokens=_whole("Most tokens of the answer."),
            **_SAMPLING,
        ),
    ),
    "responses": (
        "Conversations",
        "Create a response",
        "The response, or its events.",
        _body(
            ("input",),
            {"input": "Say hello."},
            input=_either("The new input: text, or a list of items.", "string", "array"),
            instructions=_text("The system prompt."),
            previous_response_id=_text("Continue the conversation of this stored response."),
            store={"type": "boolean", "description": "Store the response.", "default": True},
            stream=_STREAM,
            max_output_tokens=_whole("Most tokens of the answer, including reasoning."),
            tools=_list("Tools that the model may call."),
            reasoning={"type": "object", "description": "`effort` and `summary` of reasoning."},
            text={"type": "object", "description": "`format`: text, JSON, or a JSON schema."},
            **_SAMPLING,
        ),
    ),
    "messages": (
        "Conversations",
        "Create a message",
        "The message, or its events.",
        _body(
            ("messages", "max_tokens"),
            {"messages": _HELLO, "max_tokens": 1024},
            messages=_list("The conversation."),
            max_tokens=_whole("Most tokens of the answer."),
            system=_either("The system prompt.", "string", "array"),
            stream=_STREAM,
            tools=_list("Tools that the model may call."),
            thinking={"type": "object", "description": "Extended thinking and its budget."},
            **_SAMPLING,
        ),
    ),
    "embeddings": (
        "Other formats",
        "Create embeddings",
        "The embeddings, in the order of the input.",
        _body(("input",), {"input": "A text"}, input=_either("The text, or several.", "string", "array")),
    ),
    "moderations": (
        "Other formats",
        "Classify text",
        "The categories of each input.",
        _body(("input",), {"input": "A text"}, input=_either("The text, or several.", "string", "array")),
    ),
    "images": (
        "Other formats",
        "Create images",
        "The images, as URLs or in base64.",
        _body(
            ("prompt",),
            {"prompt": "A lighthouse"},
            prompt=_text("What to draw."),
            n=_whole("How many images."),
            size=_text("Such as 1024x1024."),
        ),
    ),
    "image_edits": (
        "Other formats",
        "Edit images",
        "The images, as URLs or in base64.",
        _body(
            ("image", "prompt"),
            image={"type": "string", "format": "binary", "description": "The image; several as `image[]`."},
            prompt=_text("What to change."),
            mask={"type": "string", "format": "binary", "description": "Where to change it."},
            n={"type": "integer", "minimum": 1, "description": "How many images."},
        ),
    ),
    "speech": (
        "Other formats",
        "Create speech",
        "The audio.",
        _body(
            ("input", "voice"), {"input": "Hello", "voice": "alloy"}, input=_text("The text."), voice=_text("A voice.")
        ),
    ),
    "transcriptions": (
        "Other formats",
        "Transcribe audio",
        "The text, in the requested `response_format`.",
        _body(
            ("file",),
            file={"type": "string", "format": "binary", "description": "The audio file."},
            language=_text("The language of the audio, such as en."),
            response_format=_text("json, text, srt, verbose_json or vtt."),
        ),
    ),
    "rerank": (
        "Other formats",
        "Rank documents",
        "The documents' indexes and relevance scores.",
        _body(
            ("query", "documents"),
            {"query": "Which is a fruit?", "documents": ["an apple", "a stone"]},
            query=_text("The question."),
            documents=_list("The documents to rank.", "string"),
            top_n=_whole("How many to return."),
        ),
    ),
}
_FORM = "multipart/form-data"
_CONTENT_TYPES = {"image_edits": _FORM, "transcriptions": _FORM}
_ERRORS = {
    "400": "The request is invalid, or no deployment accepts it.",
    "401": "The key is missing, unknown, expired or blocked.",
    "403": "The key may not use this model.",
    "404": "The model or the object does not exist.",
    "429": "A limit or budget is reached, or every deployment is rate-limited. `Retry-After` says when to retry.",
    "502": "Every deployment failed; the error lists the attempts.",
    "503": "The router cannot reach its own tables or secret.",
    "504": "Every deployment timed out.",
}
_ROUTED_HEADERS = {
    "x-vibe-request-id": "Identifies the request in logs and usage.",
    "x-vibe-model": "The virtual model.",
    "x-vibe-deployment": "The deployment that served, as provider/model.",
    "x-vibe-attempts": "Number of attempts.",
    "x-vibe-fallbacks": "Number of deployments that failed or were skipped before.",
    "x-vibe-routing": "The choice of a model that is routed by complexity, with score, stage, arm and reasons.",
    "x-vibe-budget-ladder": "The model that was asked for, if a budget ladder has another one serve, with the step's "
    "share, whose budget it is, and the share used.",
    "x-vibe-soft-budget": "Soft budgets that are spent: key or team, with the amounts in dollars.",
    "x-vibe-cache": "With a cache: hit (a stored answer), miss, or off for a request that is not cached.",
    "x-vibe-dropped-params": "Parameters and beta flags that were not sent, if the routes allow that.",
}


def document() -> Schema:
    """Return the OpenAPI document."""
    paths: dict[str, Schema] = {}
    for name, entry in WIRE_FORMATS.items():
        if entry.client_path is None:
            continue
        tag, summary, answer, body = _FORMATS[name]
        content = {_CONTENT_TYPES.get(name, "application/json"): {"schema": body}}
        paths[f"/v1{entry.client_path}"] = {"post": _operation(tag, summary, answer, content=content, routed=True)}
    paths |= _other_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vibe Router: model API",
            "version": "1",
            "description": "Calls models in the formats of OpenAI, Anthropic and Google. `/v1` may be left out.",
        },
        "servers": [{"url": "."}],
        "security": [{"bearer": []}, {"x-api-key": []}],
        "tags": [
            {
                "name": "Conversations",
                "description": "Text generation; each format works with providers of the others.",
            },
            {"name": "Stored responses", "description": "Responses created with `store`."},
            {"name": "Token counts", "description": "Counting is free."},
            {"name": "Other formats", "description": "Passed on to a deployment that declares the format."},
            {"name": "Models", "description": "The virtual models."},
            {"name": "Feedback", "description": "Evidence for routing by complexity."},
            {"name": "Health", "description": "Whether the router is up."},
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key, or the master key."},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
            },
            "schemas": {"Error": _error_schema()},
            "headers": {
                name: {"description": description, "schema": {"type": "string"}}
                for name, description in _ROUTED_HEADERS.items()
            },
            "responses": {
                status: {
                    "description": description,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, description in _ERRORS.items()
            },
        },
    }


def _other_paths() -> dict[str, Schema]:
    messages, responses = _FORMATS["messages"][3], _FORMATS["responses"][3]
    counted = {**messages, "required": ["model", "messages"], "examples": [{"model": "auto-chat", "messages": _HELLO}]}
    stored = [{"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    model = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]

    def json_body(schema: Schema) -> Schema:
        return {"application/json": {"schema": schema}}

    def stored_operation(summary: str, answer: str) -> Schema:
        return _operation("Stored responses", summary, answer, parameters=stored)

    def public(summary: str, answer: str) -> Schema:
        return {**_operation("Health", summary, answer), "security": [], "responses": {"200": {"description": answer}}}

    count = "Token counts"
    gemini = json_body(_GEMINI)

    def google(tag: str, summary: str, answer: str, *, routed: bool = False) -> Schema:
        return {"post": _operation(tag, summary, answer, content=gemini, parameters=model, routed=routed)}

    return {
        "/v1beta/models/{model}:generateContent": google(
            "Conversations", "Generate content (Gemini)", "A response with `candidates`.", routed=True
        ),
        "/v1beta/models/{model}:streamGenerateContent": google(
            "Conversations", "Stream content (Gemini)", "Responses: events with `?alt=sse`, else an array.", routed=True
        ),
        "/v1beta/models/{model}:countTokens": google(count, "Count the tokens of contents (Gemini)", "`totalTokens`."),
        "/v1beta/models": {"get": _operation("Models", "List the models (Gemini)", "`models`, by pages.")},
        "/v1beta/models/{model}": {"get": _operation("Models", "Get a model (Gemini)", "The model.", parameters=model)},
        "/v1/responses/{response_id}": {
            "get": stored_operation("Get a stored response", "The response."),
            "delete": stored_operation("Delete a stored response", "`deleted`: true."),
        },
        "/v1/responses/{response_id}/input_items": {
            "get": stored_operation("List the input of a stored response", "The items.")
        },
        "/v1/responses/compact": {
            "post": _operation(
                "Conversations", "Compact a conversation", "A summary to continue from.", content=json_body(responses)
            )
        },
        "/v1/messages/count_tokens": {
            "post": _operation(count, "Count the tokens of a message", "`input_tokens`.", content=json_body(counted))
        },
        "/v1/responses/input_tokens": {
            "post": _operation(count, "Count the tokens of a response", "`input_tokens`.", content=json_body(responses))
        },
        "/v1/feedback": {
            "post": _operation(
                "Feedback", "Say whether an answer was good", "It is stored.", content=json_body(_FEEDBACK)
            )
        },
        "/v1/models": {"get": _operation("Models", "List the models that the key may use", "The models.")},
        "/v1/models/{model}": {"get": _operation("Models", "Get a model", "The model.", parameters=model)},
        "/health": {"get": _operation("Health", "Get every deployment's state (master key)", "`deployments`.")},
        "/health/liveliness": {"get": public("Check that the router runs", "It runs.")},
        "/health/readiness": {"get": public("Check that there are models to call", "There are models; 503 without.")},
    }


def _operation(
    tag: str,
    summary: str,
    answer: str,
    *,
    content: Schema | None = None,
    parameters: list[Schema] | None = None,
    routed: bool = False,
) -> Schema:
    operation: Schema = {"tags": [tag], "summary": summary}
    if parameters:
        operation["parameters"] = parameters
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    success: Schema = {"description": answer}
    if routed:
        success["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _ROUTED_HEADERS}
    statuses = _ERRORS if routed else ("401", "404", "503") if parameters else ("401", "503")
    errors = {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}
    operation["responses"] = {"200": success, **errors}
    return operation


def _error_schema() -> Schema:
    fields = {
        "message": _text("What went wrong, for people."),
        "type": _text("The kind of error."),
        "code": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "The error for programs."},
        "param": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "The field that is wrong."},
        "attempts": _list("Deployment, verdict and status of every attempt, if all failed."),
    }
    error = {"type": "object", "required": ["message", "type"], "properties": fields}
    return {
        "type": "object",
        "description": "OpenAI's error object. Errors of /v1/messages have Anthropic's shape instead.",
        "required": ["error"],
        "properties": {"error": error},
    }


def page() -> str:
    """Return the text of the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
