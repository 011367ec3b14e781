"""Shape requests as the routes say: fields of the body by path, headers, and beta flags.

A path names fields from the outside in: `reasoning.effort`, `tools.0.strict`; `*` is every item of a list or every
field of an object: `messages.*.cache_control`. Fields are dropped first, then set where they are missing (`default`),
then set (`set`). Objects that are missing on the way to a field that is set are created. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vibe_router.core.models import BetaShape, HeaderShape, RequestShape
from vibe_router.formats.common import json_body

__all__ = ["shaped_betas", "shaped_body", "shaped_headers"]


def shaped_body(raw: bytes, shape: RequestShape) -> bytes:
    """Return the JSON body `raw` as `shape` has it."""
    body = json_body.parse_object(raw)
    for path in shape.drop:
        for holder, key in _places(body, path.split("."), create=False):
            _delete(holder, key)
    for path, value in shape.default.items():
        for holder, key in _places(body, path.split("."), create=True):
            if _get(holder, key) is None:
                holder[key] = value
    for path, value in shape.set.items():
        for holder, key in _places(body, path.split("."), create=True):
            holder[key] = value
    return json_body.dump(body)


def shaped_headers(
    headers: Mapping[str, str], client_headers: Mapping[str, str], shape: RequestShape
) -> dict[str, str]:
    """Return `headers` of a call with those that the client may pass on, and as `shape` has them.

    All names are in lower case.
    """
    forwarded = {name: client_headers[name] for name in shape.forward_headers if name in client_headers}
    shaped = {**{name: value for name, value in forwarded.items() if value.isprintable()}, **headers}
    own: HeaderShape = shape.headers
    for name in own.drop:
        shaped.pop(name, None)
    for name, value in own.default.items():
        shaped.setdefault(name, value)
    return {**shaped, **own.set}


def shaped_betas(flags: Sequence[str], shape: BetaShape, rejected: Sequence[str] = ()) -> list[str]:
    """Return the beta flags to send, each once; without those that the provider has `rejected`."""
    kept = list(flags) or list(shape.default)
    wanted = dict.fromkeys([*kept, *shape.set])
    return [flag for flag in wanted if flag not in rejected and (flag in shape.set or flag not in shape.drop)]


def _places(value: Any, path: Sequence[str], *, create: bool) -> Iterator[tuple[Any, Any]]:
    """Yield the objects and lists that hold the field at `path`, each with its name or index there."""
    key, *rest = path
    if not rest:
        if key == "*":
            yield from ((value, each) for each in reversed(_keys(value)))
        elif isinstance(value, dict):
            yield value, key
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            yield value, int(key)
        return
    if key == "*":
        for each in _keys(value):
            yield from _places(value[each], rest, create=create)
    elif isinstance(value, dict):
        if create and key not in value:
            value[key] = {}
        if key in value:
            yield from _places(value[key], rest, create=create)
    elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        yield from _places(value[int(key)], rest, create=create)


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _get(holder: Any, key: Any) -> Any:
    return holder.get(key) if isinstance(holder, dict) else holder[key]


def _delete(holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder.pop(key, None)
    else:
        del holder[key]
