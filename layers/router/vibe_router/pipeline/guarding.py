"""Run guards in the pipeline: choose those of a request, apply their changes, and restore its answer.

Imported with the first request that has a guard.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.models import Catalogue, Guard, VirtualModel
from vibe_router.core.telemetry import log_fault, logger
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.interfaces import ClientFormat, ClientRequest, WholeAnswer
from vibe_router.guards.inspection import Blocked, Inspection, redact_texts
from vibe_router.guards.masking import Masker, Restorer, placeholders_in
from vibe_router.guards.restoring import StreamRestorer, answers_in_json, restore_whole
from vibe_router.guards.texts import Change, Place, rewrite_items, rewrite_texts
from vibe_router.pipeline.decision import RoutingDecision

if TYPE_CHECKING:
    from vibe_router.access.budgets import BudgetLadder
    from vibe_router.formats.messages.request import MessagesRequest
    from vibe_router.formats.passthrough import PassthroughRequest
    from vibe_router.formats.responses.request import ResponsesRequest
    from vibe_router.pipeline.guardrails import Guardrails

__all__ = ["AnswerRestorer", "GuardedRequest", "for_counting", "guard_request", "guards_for"]

_NAMES = {
    "secrets": "a secret",
    "emails": "an e-mail address",
    "phones": "a phone number",
    "cards": "a payment card number",
}
_FORM_TEXTS = frozenset(("prompt", "input", "instructions"))


class AnswerRestorer:
    """Puts what was masked of `request` back into its answer."""

    def __init__(self, request: ClientRequest, values: Mapping[str, str]) -> None:
        self._restorer = Restorer(values, in_json=answers_in_json(request.format, request.body))
        self._format = request.format
        self._is_array = request.format == "gemini" and request.stream and not getattr(request, "events", True)

    def restored(self, answer: WholeAnswer | Iterable[bytes]) -> WholeAnswer | Iterable[bytes]:
        """Return an answer, whole or as a stream, with all values."""
        if not isinstance(answer, WholeAnswer):
            return self._stream(answer)
        try:
            body = restore_whole(answer.body, self._restorer)
        except Exception as error:  # noqa: BLE001 - the answer is paid for, and is sent with its placeholders
            log_fault("restore", error)
            return answer
        return answer if body is answer.body else replace(answer, body=body)

    def _stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        restorer = StreamRestorer(self._restorer, self._format, is_array=self._is_array)
        for chunk in chunks:
            try:
                restored = restorer.feed(chunk)
            except Exception as error:  # noqa: BLE001 - as above
                log_fault("restore", error)
                restored = chunk
            if restored:
                yield restored
        if rest := restorer.end():
            yield rest


@dataclass(frozen=True, slots=True)
class GuardedRequest:
    """A request as guards let it pass, and what restores its answer; None if nothing was masked."""

    request: ClientRequest
    restorer: AnswerRestorer | None = None


def guards_for(caller: Caller, model: VirtualModel, ladder: "BudgetLadder | None", routes: Catalogue) -> list[Guard]:
    """Return the guards of key, team, and of every model that may serve. Raises ApiError (503) if one is missing."""
    names = [*caller.guards, *model.guards]
    for place in ladder.places() if ladder else ():
        if served := routes.models.get(place.serves):
            names += served.guards
    missing = [name for name in names if name not in routes.guards]
    if missing:  # without it the request must not pass
        logger.error("GUARD MISSING", extra={"guard": missing[0]})
        message = f"The guard '{missing[0]}' is not in the routes, so this request cannot be inspected. Its operator "
        raise ApiError(503, f"{message}must add it, or remove it from the key, team or model.", type="server_error",
                       code="guard_unavailable")  # fmt: skip
    return [routes.guards[name] for name in dict.fromkeys(names)]


def guard_request(
    guards: Sequence[Guard],
    request: ClientRequest,
    client: ClientFormat,
    raw: bytes,
    headers: Mapping[str, str],
    decision: RoutingDecision,
    guardrails: "Callable[[], Guardrails]",
) -> GuardedRequest:
    """Return `request`, whose body is `raw`, as `guards` let it pass, and count what they find in `decision`.

    Raises ApiError: 400 if a guard blocks it, 503 if Amazon Bedrock cannot inspect it.
    """
    masker = Masker(_Taken(raw, request))
    inspection = Inspection(guards, masker)
    changed = _changed(request, client, headers, inspection.change)
    if getattr(request, "stored_input", None) is not None:  # the same texts once more, which are not counted again
        changed = _with_stored_input(cast("ResponsesRequest", changed), Inspection(guards, masker).change)
    decision.count_findings(inspection.counts)
    if inspection.blocked:
        raise _rejection(inspection.blocked)
    for guard in guards:
        if guard.bedrock:  # after the others: it gets what they masked
            changed = _inspected_by_bedrock(guard, changed, client, headers, guardrails(), inspection.counts, decision)
    return GuardedRequest(changed, AnswerRestorer(changed, masker.values) if masker.values else None)


def _inspected_by_bedrock(
    guard: Guard,
    request: ClientRequest,
    client: ClientFormat,
    headers: Mapping[str, str],
    guardrails: "Guardrails",
    counts: dict[str, int],
    decision: RoutingDecision,
) -> ClientRequest:
    """Return `request` as a guardrail lets it pass, and add its findings to `counts`. Raises ApiError."""
    texts: dict[str, None] = {}

    def note(text: str, place: Place, _field: str) -> str:
        if place in guard.places and text.strip():
            texts[text] = None
        return text

    _changed(request, client, headers, note)
    found = guardrails.inspect(guard, list(texts))
    for kind, number in found.counts.items():
        counts[kind] = counts.get(kind, 0) + number
    decision.count_findings(counts)
    if guard.action == "report":
        return request
    if found.blocks or (found.counts and guard.action == "block"):
        raise _rejection(Blocked(guard.name, next(iter(found.counts), "guardrail")))

    def replace_text(text: str, place: Place, _field: str) -> str:
        return found.replaced.get(text, text) if place in guard.places else text

    if not found.replaced:
        return request
    changed = _changed(request, client, headers, replace_text)
    if getattr(request, "stored_input", None) is not None:
        changed = _with_stored_input(cast("ResponsesRequest", changed), replace_text)
    return changed


def for_counting(guards: Iterable[Guard], request: "MessagesRequest") -> "MessagesRequest":
    """Return a request whose tokens a provider counts, without anything that guards would find in it."""
    return request.with_body(redact_texts(request.format, request.body, guards))


class _Taken:
    """The placeholders that are in a request already: in its body, in any spelling, or in the history added to it.

    The body is searched once, for all placeholders: a caller may send as many as it likes.
    """

    def __init__(self, raw: bytes, request: ClientRequest) -> None:
        self._raw = raw
        self._request = request
        self._found: set[str] | None = None

    def __call__(self, placeholder: str) -> bool:
        if self._found is None:
            whole = dump(self._request.body) if self._request.body else self._raw
            self._found = placeholders_in(whole.decode(errors="replace"))
        return placeholder in self._found


def _changed(request: ClientRequest, client: ClientFormat, headers: Mapping[str, str], change: Change) -> ClientRequest:
    if getattr(request, "form", None):
        return _changed_form(cast("PassthroughRequest", request), client, headers, change)
    body = rewrite_texts(request.format, request.body, change)
    return request if body is request.body else request.with_body(body)


def _with_stored_input(request: "ResponsesRequest", change: Change) -> "ResponsesRequest":
    return replace(request, stored_input=rewrite_items(request.stored_input or (), change))


def _changed_form(
    request: "PassthroughRequest", client: ClientFormat, headers: Mapping[str, str], change: Change
) -> ClientRequest:
    """Return a form with the texts of its fields changed; files are left as they are."""
    from vibe_router.formats.common.multipart import read_form

    if not request.form:
        return request
    raw = request.model.encode().join(request.form)
    parts: list[bytes] = []
    done = 0
    for field in read_form(raw, request.content_type).fields:
        if field.name in _FORM_TEXTS:
            before = raw[field.start : field.end].decode(errors="surrogateescape")
            parts += (raw[done : field.start], change(before, "prompts", "").encode(errors="surrogateescape"))
            done = field.end
    changed = b"".join([*parts, raw[done:]])
    return request if changed == raw else client.parse(changed, headers)


def _rejection(blocked: Blocked) -> ApiError:
    found = _NAMES.get(blocked.kind, f"a match of '{blocked.kind}'")
    message = (
        f"The guard '{blocked.guard}' blocked this request: it contains {found}. Remove it and send the request again."
    )
    return bad_request(message, code="guard_blocked")
