"""`budget_ladder` in routes.yaml: what it resolves to, and the mistakes that are reported."""

from typing import Any

import pytest

from vibe_router.core.models import LadderStep
from vibe_router.routing.settings import read_row
from vibe_router.routing.spec import as_row, parse, parse_row, resolve, settings_of

PROVIDERS = {"ark": {"base_url": "https://ark.example/v1", "secret": "ARK_API_KEY"}}
CHAIN = [{"provider": "ark", "model": "glm-4.7"}]
LADDER = [{"from": 0.8, "model": "mini"}, {"from": 1, "model": "nano"}]


def routes(*big: dict[str, Any], mini: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    ladders = {"big": list(big), "mini": list(mini), "nano": []}
    return {
        "providers": PROVIDERS,
        "models": {
            name: {"chain": CHAIN, **({"budget_ladder": ladder} if ladder else {})} for name, ladder in ladders.items()
        },
    }


def test_a_ladder_is_read() -> None:
    spec, problems = parse(routes(*LADDER))
    assert spec
    assert not problems
    models = resolve(spec)[0].models
    assert models["big"].ladder == (LadderStep(0.8, "mini"), LadderStep(1, "nano"))
    assert models["mini"].ladder == ()


def test_a_row_stays_as_it_was_written() -> None:
    row = {"chain": CHAIN, "budget_ladder": LADDER}
    spec, _ = parse_row("model", "big", row)
    assert spec
    assert as_row(spec) == row
    assert read_row("model", "big", row) == settings_of(spec)


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (routes({"from": 0.8, "model": "minni"}), "models.big.budget_ladder[0].model", "did you mean 'mini'?"),
        (routes({"from": 80, "model": "mini"}), "models.big.budget_ladder[0].from", "at most 1"),
        (routes({"from": 0, "model": "mini"}), "models.big.budget_ladder[0].from", "greater than 0"),
        (routes({"model": "mini"}), "models.big.budget_ladder[0].from", "is missing"),
        (routes({"from": 0.5, "model": "big"}), "models.big.budget_ladder[0]", "names the model itself"),
        (routes(LADDER[1], LADDER[0]), "models.big.budget_ladder[1]", "not after the step before it"),
        (routes(LADDER[0], {"from": 0.9, "model": "mini"}), "models.big.budget_ladder[1]", "repeats the model"),
        (
            routes(LADDER[0], mini=({"from": 0.9, "model": "big"},)),
            "models.big.budget_ladder[0].model",
            "makes a circle",
        ),
        (routes({"at": 0.8, "model": "mini"}), "models.big.budget_ladder[0].at", "unknown setting"),
    ],
)
def test_a_mistake_is_reported_at_its_place(data: dict[str, Any], path: str, reason: str) -> None:
    spec, problems = parse(data)
    assert spec is None
    found = {problem.path: problem.reason for problem in problems}
    assert reason in found.get(path, ""), found


def test_a_ladder_with_a_mistake_is_left_out_and_the_model_stays() -> None:
    row = {"chain": CHAIN, "budget_ladder": [{"from": 0.8, "model": "gone"}]}
    spec, _ = parse_row("model", "big", row)
    assert spec
    from vibe_router.routing.spec import ModelSpec, RoutesSpec

    assert isinstance(spec, ModelSpec)
    whole = RoutesSpec.model_validate({"providers": PROVIDERS, "models": {"big": row}})
    catalogue, problems = resolve(whole)
    assert catalogue.models["big"].ladder == ()
    assert "unknown model 'gone'" in problems[0].reason
