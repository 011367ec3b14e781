"""The rules of the Open Responses specification (openresponses.org) for responses and their events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["stream_violations", "violations"]

Check = Callable[[Any], Iterator[str]]


def is_a(*types: type | None) -> Check:
    """Return a check for a value of one of `types`; None stands for null."""
    allowed = tuple(type(None) if each is None else each for each in types)

    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            yield f"is {value!r:.60}"

    return check


def fields(**checks: Check) -> Check:
    """Return a check for an object that has all these fields."""

    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"is {value!r:.60}, not an object"
            return
        for name, each in checks.items():
            if name not in value:
                yield f".{name} is missing"
            else:
                yield from (f".{name} {wrong}" for wrong in each(value[name]))

    return check


def listed(check: Check) -> Check:
    def each(value: Any) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"is {value!r:.60}, not an array"
            return
        for i, item in enumerate(value):
            yield from (f"[{i}] {wrong}" for wrong in check(item))

    return each


def nullable(check: Check) -> Check:
    return lambda value: iter(()) if value is None else check(value)


def one_of(*values: object) -> Check:
    return lambda value: iter(()) if value in values else iter([f"is {value!r:.60}"])


def by_type(**checks: Check) -> Check:
    """Return a check that depends on the object's `type`."""

    def check(value: Any) -> Iterator[str]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in checks:
            yield f"has the type {kind!r}"
        else:
            yield from checks[kind](value)

    return check


text, whole, number, flag = is_a(str), is_a(int), is_a(int, float), is_a(bool)
status = one_of("in_progress", "completed", "incomplete")
part = by_type(
    output_text=fields(text=text, annotations=listed(fields(type=text))),
    refusal=fields(refusal=text),
    summary_text=fields(text=text),
    reasoning_text=fields(text=text),
)
item = by_type(
    message=fields(id=text, status=status, role=one_of("assistant"), content=listed(part)),
    function_call=fields(id=text, call_id=text, name=text, arguments=text, status=status),
    reasoning=fields(id=text, summary=listed(part)),
)
usage = fields(
    input_tokens=whole,
    output_tokens=whole,
    total_tokens=whole,
    input_tokens_details=fields(cached_tokens=whole),
    output_tokens_details=fields(reasoning_tokens=whole),
)
response = fields(
    id=text,
    object=one_of("response"),
    created_at=whole,
    completed_at=is_a(int, None),
    status=text,
    incomplete_details=nullable(fields(reason=text)),
    model=text,
    previous_response_id=is_a(str, None),
    instructions=is_a(str, None),
    output=listed(item),
    error=nullable(fields(code=text, message=text)),
    tools=listed(
        by_type(
            function=fields(
                name=text, description=is_a(str, None), parameters=is_a(dict, None), strict=is_a(bool, None)
            )
        )
    ),
    tool_choice=is_a(str, dict),
    truncation=one_of("auto", "disabled"),
    parallel_tool_calls=flag,
    text=fields(format=by_type(text=fields(), json_object=fields(), json_schema=fields(name=text, strict=flag))),
    top_p=number,
    presence_penalty=number,
    frequency_penalty=number,
    top_logprobs=whole,
    temperature=number,
    reasoning=nullable(fields(effort=is_a(str, None), summary=is_a(str, None))),
    usage=nullable(usage),
    max_output_tokens=is_a(int, None),
    max_tool_calls=is_a(int, None),
    store=flag,
    background=flag,
    service_tier=text,
    metadata=is_a(dict),
    safety_identifier=is_a(str, None),
    prompt_cache_key=is_a(str, None),
)
in_item = {"sequence_number": whole, "item_id": text, "output_index": whole}
in_part = {**in_item, "content_index": whole}
in_summary = {**in_item, "summary_index": whole}
EVENTS: Mapping[str, Check] = {
    **{
        f"response.{kind}": fields(sequence_number=whole, response=response)
        for kind in ("created", "queued", "in_progress", "completed", "failed", "incomplete")
    },
    **{
        f"response.output_item.{kind}": fields(sequence_number=whole, output_index=whole, item=item)
        for kind in ("added", "done")
    },
    **{f"response.content_part.{kind}": fields(**in_part, part=part) for kind in ("added", "done")},
    **{f"response.reasoning_summary_part.{kind}": fields(**in_summary, part=part) for kind in ("added", "done")},
    "response.output_text.delta": fields(**in_part, delta=text),
    "response.output_text.done": fields(**in_part, text=text),
    "response.output_text.annotation.added": fields(**in_part, annotation_index=whole, annotation=fields(type=text)),
    "response.refusal.delta": fields(**in_part, delta=text),
    "response.refusal.done": fields(**in_part, refusal=text),
    "response.reasoning_text.delta": fields(**in_part, delta=text),
    "response.reasoning_text.done": fields(**in_part, text=text),
    "response.reasoning_summary_text.delta": fields(**in_summary, delta=text),
    "response.reasoning_summary_text.done": fields(**in_summary, text=text),
    "response.function_call_arguments.delta": fields(**in_item, delta=text),
    "response.function_call_arguments.done": fields(**in_item, arguments=text),
}


def violations(answer: Any) -> list[str]:
    """Return what is wrong with a whole response."""
    wrong = [f"response{each}" for each in response(answer)]
    if not wrong and (answer["status"] == "completed") is not isinstance(answer["completed_at"], int):
        wrong.append(f"response.completed_at is {answer['completed_at']} with the status {answer['status']}")
    return wrong


def stream_violations(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the events of a stream."""
    kinds = [str(each.get("type")) for each in events]
    wrong = [f"{kind} is no event" for kind in kinds if kind not in EVENTS]
    wrong += [f"{kind}{each}" for kind, event in zip(kinds, events, strict=True) if kind in EVENTS
              for each in EVENTS[kind](event)]  # fmt: skip
    if [each.get("sequence_number") for each in events] != list(range(len(events))):
        wrong.append("sequence numbers do not count from 0")
    if kinds[:2] != ["response.created", "response.in_progress"]:
        wrong.append(f"the stream begins with {kinds[:2]}")
    return wrong + violations(events[-1].get("response"))
