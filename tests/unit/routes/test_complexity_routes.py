"""`routing` in routes.yaml: what it resolves to, and the mistakes that are reported."""

import re
from typing import Any

import pytest
import yaml

from tests.infrastructure.expanded import ROOT
from vibe_router.routing.complexity.families import without_families
from vibe_router.routing.spec import as_row, parse, parse_row, resolve

CHAIN = [{"provider": "ark", "model": "glm-4.7"}]
PROVIDERS = {"ark": {"base_url": "https://ark.example/v1", "secret": "ARK_API_KEY"}}
RULE = {"by": "complexity", "mini": "mini", "standard": "standard"}


def routes(auto: dict[str, Any]) -> dict[str, Any]:
    chains = {"mini": {"chain": [{"provider": "ark", "model": "small"}]}, "standard": {"chain": CHAIN}}
    return {"providers": PROVIDERS, "models": {**chains, "auto": auto}}


def test_a_model_without_a_chain_has_its_standard_models() -> None:
    spec, problems = parse(routes({"routing": {**RULE, "evidence": True}}))
    assert spec
    assert not problems
    catalogue, _ = resolve(spec)
    auto = catalogue.models["auto"]
    assert auto.routing
    assert auto.steps == catalogue.models["standard"].steps
    assert auto.routing.mini.steps == catalogue.models["mini"].steps
    assert (auto.routing.mode, auto.routing.share) == ("shadow", 0)
    assert catalogue.models["standard"].standard_of == ("auto",)


def test_the_shipped_example_is_valid_once_uncommented() -> None:
    text = (ROOT / "routes.yaml").read_text(encoding="utf-8")
    start, end = text.index("  # auto:\n"), text.index("  auto-chat:\n")
    with_auto = text[:start] + text[start:end].replace("  # ", "  ") + text[end:]
    spec, problems = parse(yaml.safe_load(re.sub(r"\$\{\w+:-(.*?)\}", r"\1", with_auto)))
    assert spec, problems
    models = resolve(spec)[0].models
    assert len(models) == 7
    rule = models["auto"].routing
    assert rule
    assert (rule.mode, rule.share, rule.evidence, rule.judge) == ("shadow", 0, True, models["auto-codex-mini"])
    served = [deployment.model for model in (rule.mini, rule.standard) for deployment in model.steps[0]]
    assert without_families(models["auto-codex-mini"], served) == models["auto-codex-mini"]


def test_a_model_with_a_chain_is_its_own_standard() -> None:
    spec, problems = parse(routes({"chain": CHAIN, "routing": {"by": "complexity", "mini": "mini", "evidence": True}}))
    assert spec
    assert not problems
    auto = resolve(spec)[0].models["auto"]
    assert auto.routing
    assert auto.routing.standard.name == "auto"
    assert auto.standard_of == ()


@pytest.mark.parametrize(
    ("auto", "path", "reason"),
    [
        ({}, "models.auto.chain", "is missing"),
        ({"chain": []}, "models.auto.chain", "is empty"),
        ({"routing": {"by": "complexity", "mini": "mini"}}, "models.auto.routing.standard", "is missing"),
        ({"routing": {**RULE, "mini": "minni"}}, "models.auto.routing.mini", "did you mean 'mini'?"),
        ({"routing": {**RULE, "standard": "auto"}}, "models.auto.routing.standard", "must name another model"),
        ({"routing": {**RULE, "dual": 0.01}}, "models.auto.routing.judge", "is missing"),
        ({"routing": {**RULE, "strata": ["en", "en"]}}, "models.auto.routing.strata", "names one twice"),
        ({"routing": {**RULE, "share": 101}}, "models.auto.routing.share", "at most 100"),
        ({"routing": {**RULE, "mode": "on"}}, "models.auto.routing.mode", "must be one of"),
        ({"routing": {"mini": "mini"}}, "models.auto.routing.by", "is missing"),
    ],
)
def test_a_mistake_is_reported_at_its_place(auto: dict[str, Any], path: str, reason: str) -> None:
    spec, problems = parse(routes(auto))
    assert spec is None
    found = {problem.path: problem.reason for problem in problems}
    assert reason in found.get(path, ""), found


def test_a_row_stays_as_it_was_written() -> None:
    spec, _ = parse_row("model", "auto", {"routing": RULE})
    assert spec
    assert as_row(spec) == {"routing": RULE}
