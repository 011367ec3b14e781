"""Rows read by plain code, beside the same rows as pydantic reads them."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.infrastructure.expanded import ROOT
from vibe_cli.routes_file import load_file
from vibe_router.core.price import Price
from vibe_router.core.wire_formats import DECLARABLE
from vibe_router.routing import settings, spec
from vibe_router.routing.changes import rows_of
from vibe_router.routing.settings import Kind, read_row

PAIRS: dict[type[BaseModel], type[Any]] = {
    spec.ProviderSpec: settings.ProviderSettings,
    spec.DeploymentSpec: settings.DeploymentSettings,
    spec.ModelSpec: settings.ModelSettings,
    spec.RoutingSpec: settings.RoutingSettings,
    spec.CacheSpec: settings.CacheSettings,
    spec.AliasSpec: settings.AliasSettings,
    spec.GuardSpec: settings.GuardSettings,
    spec.GuardrailSpec: settings.GuardrailSettings,
    spec.DefaultsSpec: settings.DefaultSettings,
    spec.RelaySpec: settings.RelaySettings,
    spec.PriceSpec: Price,
    spec.RoutesSpec: settings.RouteSettings,
}


def _names(plain: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(plain)) if is_dataclass(plain) else plain.field_names()


@pytest.mark.parametrize("schema", PAIRS, ids=lambda each: each.__name__)
def test_a_new_field_goes_into_both(schema: type[BaseModel]) -> None:
    assert set(_names(PAIRS[schema])) == set(schema.model_fields), "see docs/architecture.md"


def sometimes(good: st.SearchStrategy[Any], *bad: object) -> st.SearchStrategy[Any]:
    """Mostly good values, and now and then another one."""
    odd = st.sampled_from([None, True, "", "x", 0, -1, 1.5, 10**12, [], {}, float("nan"), *bad])
    return st.integers(0, 19).flatmap(lambda chance: odd if chance == 0 else good)


def some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


PATHS = st.sampled_from(["temperature", "reasoning.effort", "tools.*.strict", "messages.0.name"])
VALUES = st.dictionaries(PATHS, st.integers() | st.text(max_size=3) | st.none() | st.booleans(), max_size=2)
HEADERS = st.dictionaries(st.sampled_from(["x-a", "X-B"]), st.sampled_from(["", "1", "a b"]), max_size=2)
BETAS = st.lists(st.sampled_from(["context-1m-2025-08-07", "x"]), max_size=2)
SECONDS = sometimes(st.integers(1, 280) | st.floats(0.5, 280), 281, 881)
OVERRIDES: dict[str, st.SearchStrategy[Any]] = {
    "timeouts": sometimes(
        some(**dict.fromkeys(("connect", "first_byte", "first_token", "idle", "response", "probe", "total"), SECONDS)),
        {"unknown": 1},
    ),
    "retries": sometimes(st.integers(0, 10), 11, 1.0),
    "max_inline_wait": sometimes(st.integers(0, 280)),
    "max_last_wait": sometimes(st.floats(0, 280)),
    "cooldown": sometimes(some(base=SECONDS, max=SECONDS), {"base": 0}),
    "reserve_tokens": sometimes(st.integers(0, 10_000_000), 10_000_001),
    "continuation": sometimes(st.booleans()),
    "hedge_after": sometimes(st.integers(1, 280) | st.floats(0.5, 280) | st.just("p95"), 281, "p99"),
    "hedge_share": sometimes(st.floats(0, 0.5)),
    "order": sometimes(st.sampled_from(["weights", "cheapest", "fastest", "quota"]), "random", 1),
    "stay": sometimes(st.integers(0, 1440), 1441),
    "set": sometimes(VALUES, {"model": "x"}, {"a..b": 1}, {"a": float("nan")}),
    "default": sometimes(VALUES),
    "drop": sometimes(st.lists(PATHS, max_size=3), ["stream"], ["a b"], [1]),
    "headers": sometimes(
        some(set=HEADERS, default=HEADERS, drop=st.lists(st.sampled_from(["x-a", "X-B"]), max_size=2)),
        {"set": {"authorization": "x"}},
        {"set": {"x-a": "line\nbreak"}},
        {"drop": "x-a"},
    ),
    "betas": sometimes(some(set=BETAS, default=BETAS, drop=BETAS, drop_rejected=st.booleans()), {"set": [" "]}),
    "drop_params": sometimes(st.booleans()),
    "forward_headers": sometimes(st.lists(st.sampled_from(["x-session-id", "openai-beta"]), max_size=2), ["cookie"]),
    "quota": sometimes(
        st.fixed_dictionaries(
            {},
            optional={"threshold": st.integers(0, 100), "keys": st.lists(st.text(min_size=1, max_size=9), max_size=3)},
        ),
        {"threshold": 101},
        {"keys": [""]},
        {"other": 1},
        [],
    ),
}
NAMES = st.sampled_from(["ark", "new-api", "a.b_c"])
MODELS = st.sampled_from(["glm-4.7", "a/b:c@d", "x[1m]"])
FORMATS = sometimes(st.lists(st.sampled_from(DECLARABLE), min_size=1, max_size=3), ["converse"], ["chat", 1], "chat")
PRICE = st.integers(0, 10_000) | st.floats(0, 10_000)
MEMBER = st.fixed_dictionaries(
    {"provider": sometimes(NAMES, "a/b", "a" * 65), "model": sometimes(MODELS, "a b", "ä", "a\n", "a" * 257)},
    optional={
        **OVERRIDES,
        "weight": sometimes(st.integers(1, 9) | st.floats(0.1, 9)),
        "formats": FORMATS,
        "price": sometimes(
            st.fixed_dictionaries(
                {"input": sometimes(PRICE, 10_001), "output": PRICE},
                optional={"cache_read": PRICE, "audio_output": PRICE, "source": st.text(max_size=5)},
            ),
            {"input": 1},
        ),
        "enabled": sometimes(st.booleans()),
        "context_window": sometimes(st.integers(1, 10**9), 10**9 + 1),
        "vision": sometimes(st.booleans()),
        "tools": sometimes(st.booleans()),
        "base_model": sometimes(MODELS),
        "stream": sometimes(st.just("always"), "never"),
    },
)
ROUTING = st.fixed_dictionaries(
    {"by": sometimes(st.just("complexity")), "mini": sometimes(NAMES)},
    optional={
        "standard": sometimes(NAMES),
        "mode": sometimes(st.sampled_from(["manual", "shadow", "complexity"])),
        "share": sometimes(st.integers(0, 100), 101),
        "quality": sometimes(st.floats(0.5, 1), 1.1),
        "strata": sometimes(st.lists(st.sampled_from(["en", "zh", "tools", "long"]), max_size=3), ["de"], [["en"]]),
        "evidence": sometimes(st.booleans()),
        "dual": sometimes(st.floats(0, 0.05)),
        "judge": sometimes(NAMES),
        "dual_budget": sometimes(st.integers(0, 9)),
    },
)
LADDER_STEP = st.fixed_dictionaries(
    {"from": sometimes(st.sampled_from([0.8, 1]), 0, 1.1), "model": sometimes(NAMES, "a b")},
    optional={"unknown": st.just(1), "share": st.just(0.5)},
)
RECEIVER = st.fixed_dictionaries(
    {
        "type": sometimes(st.sampled_from(["slack", "feishu", "dingtalk", "json"]), "email"),
        "url": sometimes(st.just("OPS_URL"), "https://hooks.slack.com/x", "MASTER_KEY", 3),
    },
    optional={
        "secret": sometimes(st.just("OPS_SECRET"), "a-b"),
        "host": sometimes(st.sampled_from(["a.example", "A"]), "https://a", "a..b", ""),
        "events": sometimes(st.lists(st.sampled_from(["budget", "quota"]), max_size=2), ["other"], [3], "budget"),
        "unknown": st.just(1),
    },
)
ROWS = {
    "provider": st.fixed_dictionaries(
        {},
        optional={
            **OVERRIDES,
            "type": sometimes(st.sampled_from(["openai", "bedrock"]), "azure"),
            "base_url": sometimes(
                st.sampled_from(["https://a.example/v1/", "http://127.0.0.1:1"]), "ftp://a", "https://a/?k=1", "a\x00"
            ),
            "secret": sometimes(st.sampled_from(["ARK_API_KEY", "A"]), "MASTER_KEY", "sk-1"),
            "region": sometimes(st.sampled_from(["eu-west-1", "us-gov-west-1"]), "here", "eu-west-1\n"),
            "formats": FORMATS,
            "relay": sometimes(
                some(passed_on_header=sometimes(st.just("X-Id"), "a b"), own_error_type=sometimes(st.just("relay")))
            ),
        },
    ),
    "model": st.fixed_dictionaries(
        {},
        optional={
            **OVERRIDES,
            "chain": sometimes(st.lists(MEMBER | st.lists(MEMBER, max_size=2), max_size=3)),
            "routing": sometimes(ROUTING),
            "budget_ladder": sometimes(st.lists(LADDER_STEP, max_size=2), [{"from": 0.8, "model": "mini"}] * 11),
            "cache": sometimes(some(seconds=sometimes(st.integers(1, 2_592_000), 2_592_001, 1.0)), {"other": 1}, 60),
            "description": sometimes(st.text(max_size=9), "x" * 1001),
            "guards": sometimes(
                st.lists(st.sampled_from(["a", "b_1"]), max_size=2, unique=True), ["A"], ["a", "a"], "a"
            ),
            "unknown": st.just(1),
        },
    ),
    "alias": st.fixed_dictionaries({"model": sometimes(MODELS)}, optional={"unknown": st.just(1)}),
    "guard": some(
        find=sometimes(
            st.lists(
                st.sampled_from(["secrets", "emails", "phones", "cards"])
                | st.fixed_dictionaries(
                    {
                        "name": sometimes(st.just("tickets"), "emails", "A"),
                        "pattern": sometimes(st.just("ACME-[0-9]{6}"), "(a+)+b", "(", "x" * 501),
                    }
                ),
                max_size=2,
            ),
            ["secret"],
            [3],
            "emails",
        ),
        bedrock=st.none()
        | sometimes(
            st.fixed_dictionaries(
                {"id": sometimes(st.just("abc123"), "A")},
                optional={
                    "version": sometimes(st.sampled_from(["DRAFT", "1"]), 1, "0"),
                    "region": st.just("us-east-1"),
                },
            )
        ),
        places=sometimes(st.lists(st.sampled_from(["prompts", "tool_results"]), min_size=1, max_size=2), ["x"], []),
        action=sometimes(st.sampled_from(["block", "mask", "report"]), "drop"),
        on_error=sometimes(st.sampled_from(["reject", "continue"]), "skip"),
    ),
    "defaults": some(**OVERRIDES),
    "alerts": some(
        receivers=sometimes(
            st.dictionaries(NAMES | st.sampled_from(["a b", ""]), RECEIVER, max_size=2),
            [],
            dict.fromkeys(map(str, range(21))),
        ),
        budget=sometimes(st.lists(st.sampled_from([0.01, 0.5, 1]), max_size=3), 0.5, [0], [1.1], ["a"], [True]),
        cooled_minutes=sometimes(st.integers(1, 99), 0, 10**9),
    ),
}
ROW_NAMES = NAMES | st.sampled_from(["gpt-5*", "x[1m]", "a b", "a" * 129, "a\n", ""])
GOOD_PROVIDER = {"base_url": "https://a.example/v1", "secret": "A"}


@given(st.sampled_from(sorted(ROWS)).flatmap(lambda kind: st.tuples(st.just(kind), ROW_NAMES, ROWS[kind])))
@example(("provider", "ark", {**GOOD_PROVIDER, "base_url": "https://\ud800/v1"}))
@example(("provider", "ark", {**GOOD_PROVIDER, "formats": [["chat"]]}))
@example(("provider", "b", {"type": "bedrock", "secret": ""}))
@example(("provider", "ark", {**GOOD_PROVIDER, "region": None, "relay": None}))
@example(("model", "auto", {"chain": [{"provider": "a", "model": "b"}], "description": "\ud800"}))
def test_a_row_is_read_as_pydantic_reads_it_or_left_to_it(case: tuple[Kind, str, dict[str, Any]]) -> None:
    kind, name, row = case
    parsed, _ = spec.parse_row(kind, name, row)
    read = read_row(kind, name, row)
    if read is not None:
        assert parsed is not None
        assert read == spec.settings_of(parsed)
    elif parsed is not None:  # doubts are allowed, but only of what nobody writes
        assert "None" in str(row) or "secret" in row or "\ud800" in str(row)


@pytest.mark.parametrize("member", [{}, {"weight": 2, "price": {"input": 1, "output": 2.5}, "stream": "always"}])
def test_a_row_that_people_write_needs_no_pydantic(member: dict[str, Any]) -> None:
    row = {"chain": [{"provider": "ark", "model": "glm-4.7", **member}], "timeouts": {"connect": 3}}
    assert read_row("model", "auto", row) is not None


def test_every_row_of_the_shipped_routes_is_read_by_plain_code() -> None:
    for (kind, name), row in rows_of(load_file(ROOT / "routes.yaml", {})).items():
        assert read_row(kind, name, row) is not None, (kind, name)
