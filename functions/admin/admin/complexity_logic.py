"""The logic of the handlers of complexity routing: rollouts, and reports on the evidence in the usage table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from admin.call import Call
from admin.evidence import without_deleted_keys
from admin.routes_logic import catalogue
from admin.usage_logic import today
from vibe_router.core.clock import to_iso
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.models import ComplexityRule
from vibe_router.core.price import as_dollars
from vibe_router.core.record import Record
from vibe_router.routing.complexity.decision import Rollout, rollout_of
from vibe_router.routing.complexity.features import decode
from vibe_router.routing.complexity.gates import STRATA, Observation, Report, next_stage, report_on
from vibe_router.routing.complexity.scorer import seed
from vibe_router.routing.complexity.sequential import LIMIT, evidence_against_mini
from vibe_router.routing.complexity.trees import Model, load
from vibe_router.store.complexity import RolloutChangedError
from vibe_router.store.usage import Filter

__all__ = ["advance", "install", "observations_of", "report", "roll_back", "rollouts", "rows", "undo"]

_MOST_ROWS = 20_000  # of a report
_ROWS_AT_ONCE = 200
_DISAGREEMENTS = 20


def rollouts(call: Call) -> dict[str, Any]:
    """Return the rollout of every routed model."""
    _, routes = catalogue(call)
    routed = {name: model.routing for name, model in routes.models.items() if model.routing}
    return {"models": [_rollout_json(call, name, rule) for name, rule in sorted(routed.items())]}


def report(call: Call, name: str, days: int) -> dict[str, Any]:
    """Return rollout, gates and disagreements of a model. Raises ApiError (404)."""
    rule = _rule(call, name)
    trees = _trees(_item(call, name))
    found = without_deleted_keys(call, list(_records(call, name, days)))
    reported = report_on(observations_of(found, trees), rule.quality, rule.precision)
    rollout = rollout_of(rule, _item(call, name))
    events = call.environment.complexity.bad_events(name, rollout.number)
    share = rollout.share / 100
    return {
        **_rollout_json(call, name, rule),
        "days": days,
        "rows": len(found),
        "is_cut": len(found) >= _MOST_ROWS,
        **_report_json(reported),
        "bad_events": {
            "mini": events.mini,
            "standard": events.standard,
            "expected_share": share,
            "evidence": round(evidence_against_mini(events.mini, events.standard, share), 3),
            "limit": LIMIT,
        },
        "judge_noise": dict(zip(("pairs", "differing"), call.environment.complexity.judge_noise(name), strict=True)),
        "disagreements": list(_disagreements(found, trees)),
        "closed": reported.closed(sorted(rollout.strata)),
    }


def rows(call: Call, name: str, days: int, before: str | None) -> dict[str, Any]:
    """Return a page of the evidence of a model. Raises ApiError (400, 404)."""
    _rule(call, name)
    wanted = Filter(model=name, first=today(call) - timedelta(days=days - 1))
    try:
        page = call.environment.usage.find(wanted, limit=_ROWS_AT_ONCE, before=before)
    except ValueError:
        raise bad_request("before: is not a valid position; use `next` of the previous page.", param="before") from None
    scored = without_deleted_keys(call, [each for each in page.records if each.routing_would])
    found = [_evidence(each) for each in scored]
    return {"rows": found, "next": page.next}


def advance(
    call: Call, name: str, stage: str | None, strata: Sequence[str] | None, number: int | None
) -> dict[str, Any]:
    """Change the rollout of a model. Raises ApiError: 404, and 409 while a gate is closed."""
    rule, item = _rule(call, name), _item(call, name)
    rollout = rollout_of(rule, item)
    if number is not None and number != rollout.number:
        raise _changed()
    wanted = _stage(rollout, stage)
    opened = frozenset(strata) if strata is not None else rollout.strata
    if _is_wider(rollout, wanted, opened):
        reported = report_on(
            observations_of(list(_records(call, name, 90)), _trees(item)), rule.quality, rule.precision
        )
        if closed := reported.closed(sorted(opened)):
            gates = [
                f"{each.stratum}: {gate.name} ({gate.required})"
                for each in reported.strata
                if each.stratum in closed
                for gate in each.gates
                if not gate.is_open
            ]
            message = f"{name} cannot advance while gates are closed: {'; '.join(gates)}."
            raise ApiError(409, message, code="gate_closed", param="stage")
    return _change(call, name, rule, mode=wanted[0], share=wanted[1], strata=sorted(opened), reason=f"by {call.by}")


def roll_back(call: Call, name: str, reason: str | None) -> dict[str, Any]:
    """Return a model to manual routing. Raises ApiError (404, 409)."""
    rule = _rule(call, name)
    rollout = rollout_of(rule, _item(call, name))
    why = reason or f"by {call.by}"
    try:
        item = call.environment.complexity.roll_back(name, _item(call, name), sorted(rollout.strata), why)
    except RolloutChangedError:
        raise _changed() from None
    return _rollout_json(call, name, rule, item)


def undo(call: Call, name: str) -> dict[str, Any]:
    """Restore the rollout before the last change. Raises ApiError (400, 404, 409)."""
    rule = _rule(call, name)
    try:
        item = call.environment.complexity.undo(name, _item(call, name))
    except RolloutChangedError:
        raise _changed() from None
    except ValueError as error:
        raise bad_request(f"model: {error}.", param="model") from None
    return _rollout_json(call, name, rule, item)


def install(call: Call, name: str, trees: str | None) -> dict[str, Any]:
    """Install trees. Raises ApiError (400, 404, 409)."""
    rule = _rule(call, name)
    if trees is not None:
        try:
            load(trees)
        except ValueError as error:
            raise bad_request(f"trees: {error}.", param="trees") from None
    rollout = rollout_of(rule, _item(call, name))
    stays = {"mode": rollout.mode, "share": rollout.share, "strata": sorted(rollout.strata)}
    return _change(call, name, rule, **stays, trees=trees, reason=f"trees by {call.by}")


def observations_of(records: Sequence[Record], trees: Model) -> list[Observation]:
    """Return the scored requests that say something of these trees, oldest first.

    The rows that trees were trained on (up to their `trained_until`) are left out.
    """
    since = str(trees.facts.get("trained_until") or "")
    return [
        Observation(
            would=each.routing_would,
            strata=each.routing_strata,
            arm=each.routing_arm,
            judged=each.judged,
            feedback=each.feedback,
            cost=as_dollars(each.cost) if each.cost is not None else None,
        )
        for each in sorted(records, key=lambda record: record.at)
        if each.routing_would and each.at > since
    ]


def _records(call: Call, name: str, days: int) -> Iterator[Record]:
    """Yield the rows of a model of the last `days`, newest first, up to _MOST_ROWS."""
    wanted = Filter(model=name, first=today(call) - timedelta(days=days - 1))
    before, left = None, _MOST_ROWS
    while left > 0:
        page = call.environment.usage.find(wanted, limit=min(left, 1_000), before=before)
        yield from page.records
        left -= len(page.records)
        before = page.next
        if before is None:
            return


def _rule(call: Call, name: str) -> ComplexityRule:
    _, routes = catalogue(call)
    model = routes.models.get(name)
    if model is None or model.routing is None:
        raise ApiError(404, f"{name[:100]} is not routed by complexity.", code="model_not_found", param="model")
    return model.routing


def _item(call: Call, name: str) -> Mapping[str, Any] | None:
    """Return the stored item of a model, as it was read with the routes last."""
    return call.environment.routes.complexity.get(name)


def _trees(item: Mapping[str, Any] | None) -> Model:
    text = (item or {}).get("trees")
    try:
        return load(text) if isinstance(text, str) else seed()
    except ValueError:
        return seed()


def _stage(rollout: Rollout, stage: str | None) -> tuple[str, float]:
    if stage is None:
        found = next_stage(rollout.mode, rollout.share)
        if found is None:
            raise bad_request("stage: the rollout is complete; there is no next stage.", param="stage")
        return found
    return (stage, 0.0) if stage in ("manual", "shadow") else ("complexity", float(stage))


def _is_wider(rollout: Rollout, wanted: tuple[str, float], strata: frozenset[str]) -> bool:
    """Return whether more requests may go to mini than before: only that needs open gates."""
    if wanted[0] != "complexity":
        return False
    return rollout.mode != "complexity" or wanted[1] > rollout.share or not strata <= rollout.strata


def _change(call: Call, name: str, rule: ComplexityRule, **changes: Any) -> dict[str, Any]:
    try:
        item = call.environment.complexity.change(name, _item(call, name), **changes)
    except RolloutChangedError:
        raise _changed() from None
    return _rollout_json(call, name, rule, item)


def _changed() -> ApiError:
    return ApiError(409, "The rollout has been changed meanwhile. Read it again.", code="rollout_changed")


def _rollout_json(call: Call, name: str, rule: ComplexityRule, item: Mapping[str, Any] | None = None) -> dict[str, Any]:
    item = item if item is not None else _item(call, name)
    rollout, trees = rollout_of(rule, item), _trees(item)
    following = next_stage(rollout.mode, rollout.share)
    since = (item or {}).get("since")
    return {
        "model": name,
        "mini": rule.mini.name,
        "standard": rule.standard.name,
        "mode": rollout.mode,
        "share": rollout.share,
        "strata": sorted(rollout.strata),
        "number": rollout.number,
        "since": to_iso(since) if isinstance(since, int | float) else None,
        "reason": (item or {}).get("reason"),
        "next": None if following is None else {"mode": following[0], "share": following[1]},
        "can_undo": bool((item or {}).get("previous")),
        "trees": {"version": trees.version, "threshold": trees.threshold, "facts": dict(trees.facts)},
        "quality": rule.quality,
        "precision": rule.precision,
        "evidence": rule.evidence,
    }


def _report_json(reported: Report) -> dict[str, Any]:
    return {
        "scored": reported.scored,
        "mini_share": reported.mini_share,
        "savings": reported.savings,
        "counts": reported.counts,
        "strata_report": [
            {
                "stratum": each.stratum,
                "is_open": each.is_open,
                "scored": each.scored,
                "mini_share": each.mini_share,
                "labels": each.labels,
                "needs_no_router": each.needs_no_router,
                "advice": "You need no router: mini alone passes as well." if each.needs_no_router else None,
                "gates": [asdict(gate) for gate in each.gates],
            }
            for each in reported.strata
        ],
    }


def _disagreements(records: Sequence[Record], trees: Model) -> Iterator[dict[str, Any]]:
    """Yield requests that mini would have served, or has, and not well enough, with the reasons of their score."""
    number = 0
    for each in records:
        wrong = each.judged is not None and each.judged < 0.5
        if each.routing_would != "mini" or not (wrong or (each.feedback or 0) < 0):
            continue
        reasons: dict[str, float] = {}
        with suppress(ValueError):  # stored without features, or by another version
            reasons = dict(trees.reasons(decode(each.routing_features or "")))
        yield {
            "request_id": each.request_id,
            "at": each.at,
            "score": each.routing_score,
            "judged": each.judged,
            "feedback": each.feedback,
            "strata": list(each.routing_strata),
            "reasons": reasons,
        }
        number += 1
        if number == _DISAGREEMENTS:
            return


def _evidence(record: Record) -> dict[str, Any]:
    return {
        "at": record.at,
        "features": record.routing_features,
        "score": record.routing_score,
        "would": record.routing_would,
        "choice": record.routing_choice,
        "arm": record.routing_arm,
        "strata": [each for each in record.routing_strata if each in (*STRATA, "other")],
        "stage": record.routing_stage,
        "judged": record.judged,
        "feedback": record.feedback,
        "status": record.status,
        "cost": as_dollars(record.cost) if record.cost is not None else None,
    }
