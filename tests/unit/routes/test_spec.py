import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import CooldownPolicy, Policy, RelayMarks, Timeouts
from vibe_router.core.price import Price
from vibe_router.routing.spec import Kind, RoutesSpec, as_row, checked_base_url, parse, parse_row, resolve

GOOD: dict[str, Any] = {
    "providers": {
        "ark": {"base_url": "https://ark.example/v3/", "secret": "ARK_API_KEY"},
        "new-api": {"base_url": "http://127.0.0.1:3000/v1", "secret": "NEW_API_KEY", "formats": ["chat", "responses"]},
    },
    "models": {
        "auto": {
            "description": "All there is",
            "chain": [
                [{"provider": "ark", "model": "glm", "weight": 3}, {"provider": "new-api", "model": "gpt"}],
                {"provider": "new-api", "model": "codex", "formats": ["responses"]},
            ],
        }
    },
}


def spec_of(data: object) -> RoutesSpec:
    spec, problems = parse(data)
    assert problems == []
    assert spec is not None
    return spec


def with_setting(path: str, value: object) -> dict[str, Any]:
    """Return good routes with one thing set; `path` separates by blanks, and numbers are indices."""
    data = deepcopy(GOOD)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split())
    place: Any = data
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    place[last] = value
    return data


def test_a_good_spec_becomes_a_catalogue_of_resolved_deployments() -> None:
    catalogue, problems = resolve(spec_of(GOOD))
    assert problems == []
    auto = catalogue.models["auto"]
    assert [[deployment.id for deployment in step] for step in auto.steps] == [
        ["ark/glm", "new-api/gpt"],
        ["new-api/codex"],
    ]
    glm, gpt, codex = auto.chain
    assert (auto.description, glm.weight, gpt.weight) == ("All there is", 3, 1)
    assert glm.provider.base_url == "https://ark.example/v3"
    assert glm.provider.secret == "ARK_API_KEY"
    assert [glm.formats, gpt.formats, codex.formats] == [("chat",), ("chat", "responses"), ("responses",)]
    assert glm.policy == Policy()
    assert glm.provider.relay == RelayMarks()
    assert not glm.streams_only


def test_a_relay_declares_how_it_marks_errors_and_a_deployment_that_it_only_streams() -> None:
    data = with_setting("providers ark relay", {"passed_on_header": "X-Trace", "own_error_type": "ark_error"})
    data["models"]["auto"]["chain"][1]["stream"] = "always"
    catalogue, problems = resolve(spec_of(data))
    assert problems == []
    glm, _, codex = catalogue.models["auto"].chain
    assert glm.provider.relay == RelayMarks("x-trace", "ark_error")
    assert codex.streams_only


PROBLEMS: list[tuple[str, str, object, str, str]] = [
    ("a setting nobody knows", "providers ark speed", 1, "providers.ark.speed", "unknown setting"),
    ("a misspelt setting", "models auto retires", 1, "models.auto.retires", "did you mean 'retries'?"),
    ("a timeout outside timeouts", "models auto first_token", 9, "models.auto.first_token", "belongs under `timeouts`"),
    ("a cooldown outside cooldown", "defaults base", 9, "defaults.base", "belongs under `cooldown`"),
    ("a part nobody knows", "provders", {}, "provders", "did you mean 'provider"),
    ("a negative timeout", "defaults timeouts idle", -1, "defaults.timeouts.idle", "greater than 0"),
    ("a timeout of zero", "defaults timeouts idle", 0, "defaults.timeouts.idle", "greater than 0"),
    ("a timeout longer than Lambda runs", "defaults timeouts total", 880.5, "defaults.timeouts.total", "at most 880"),
    ("NaN", "defaults timeouts idle", float("nan"), "defaults.timeouts.idle", "finite"),
    ("infinity", "defaults cooldown max", float("inf"), "defaults.cooldown.max", "finite"),
    ("a number in quotes", "defaults timeouts idle", "60", "defaults.timeouts.idle", "must be a number"),
    ("true for a number", "defaults retries", True, "defaults.retries", "whole number"),
    ("half a retry", "defaults retries", 1.5, "defaults.retries", "whole number"),
    ("eleven retries", "defaults retries", 11, "defaults.retries", "at most 10"),
    ("a negative wait", "defaults max_last_wait", -1, "defaults.max_last_wait", "at least 0"),
    ("a wait that API Gateway would cut", "defaults max_inline_wait", 281, "defaults.max_inline_wait", "at most 280"),
    ("a list for settings", "defaults timeouts", [], "defaults.timeouts", "must be a mapping"),
    ("a provider without a URL", "providers ark", {"secret": "X"}, "providers.ark.base_url", "is missing"),
    ("a provider that is text", "providers ark", "https://x", "providers.ark", "must be a mapping"),
    ("a provider's name with a slash", "providers a/b", GOOD["providers"]["ark"], "providers.a/b", "'/'"),
    (
        "a provider without a name",
        "providers",
        {**GOOD["providers"], "": GOOD["providers"]["ark"]},
        "providers.",
        "1 to 64",
    ),
    ("a model's name with a blank", "models", {"a b": GOOD["models"]["auto"]}, "models.a b", "' '"),
    ("a model's name with a line break", "models", {"a\r\nb": GOOD["models"]["auto"]}, "models.a\r\nb", "'\\r'"),
    ("a model's name that no header carries", "models", {"模型": GOOD["models"]["auto"]}, "models.模型", "'模'"),
    ("a name that is a number", "models", {5: GOOD["models"]["auto"]}, "models[5]", "must be text"),
    ("an unknown format", "providers ark formats", ["chat", "chats"], "providers.ark.formats[1]", "must be one of"),
    ("no format at all", "providers ark formats", [], "providers.ark.formats", "at least one format"),
    ("a format twice", "providers ark formats", ["chat", "chat"], "providers.ark.formats", "twice"),
    ("an unknown type", "providers ark type", "azure", "providers.ark.type", "must be one of"),
    (
        "a secret for Bedrock",
        "providers ark",
        {"type": "bedrock", "secret": "X"},
        "providers.ark.secret",
        "router's role",
    ),
    (
        "formats for Bedrock",
        "providers ark",
        {"type": "bedrock", "formats": ["embeddings"]},
        "providers.ark.formats",
        "which Bedrock speaks itself",
    ),
    (
        "a header that is none",
        "providers ark relay",
        {"passed_on_header": "a b"},
        "providers.ark.relay.passed_on_header",
        "",
    ),
    ("a stream now and then", "models auto chain 1 stream", "sometimes", "models.auto.chain[1].stream", "always"),
    (
        "a region for another",
        "providers ark region",
        "eu-west-1",
        "providers.ark.region",
        "only to a provider of type bedrock",
    ),
    ("a region that is none", "providers ark", {"type": "bedrock", "region": "Europe"}, "providers.ark.region", ""),
    ("an address that is none", "providers ark", {"type": "bedrock", "base_url": "x"}, "providers.ark.base_url", "URL"),
    ("an empty chain", "models auto chain", [], "models.auto.chain", "is empty"),
    ("a chain that is no list", "models auto chain", {"provider": "ark"}, "models.auto.chain", "must be a list"),
    ("no chain", "models auto", {"description": "x"}, "models.auto.chain", "is missing"),
    ("an empty step", "models auto chain 1", [], "models.auto.chain[1]", "empty step"),
    ("a step that is text", "models auto chain 1", "ark/glm", "models.auto.chain[1]", "must be a mapping"),
    (
        "a deployment without a model",
        "models auto chain 1",
        {"provider": "ark"},
        "models.auto.chain[1].model",
        "missing",
    ),
    (
        "a price below nothing",
        "models auto chain 1 price",
        {"input": -1, "output": 1},
        "models.auto.chain[1].price.input",
        "at least 0",
    ),
    (
        "a price of one side",
        "models auto chain 1 price",
        {"input": 1},
        "models.auto.chain[1].price.output",
        "is missing",
    ),
    (
        "a price for a token",
        "models auto chain 1 price",
        {"input": 20_000, "output": 1},
        "models.auto.chain[1].price.input",
        "at most 10000",
    ),
    (
        "a window of no token",
        "models auto chain 1 context_window",
        0,
        "models.auto.chain[1].context_window",
        "at least 1",
    ),
    ("half a sight", "models auto chain 1 vision", "low", "models.auto.chain[1].vision", "must be true or false"),
    ("a price in words", "models auto chain 1 price", "cheap", "models.auto.chain[1].price", "must be a mapping"),
    (
        "a price outside price",
        "models auto chain 1 cache_read",
        1,
        "models.auto.chain[1].cache_read",
        "belongs under `price`",
    ),
    ("a switch in words", "models auto chain 1 enabled", "off", "models.auto.chain[1].enabled", "true or false"),
    ("a negative reserve", "defaults reserve_tokens", -1, "defaults.reserve_tokens", "at least 0"),
    ("a weight of zero", "models auto chain 0 1 weight", 0, "models.auto.chain[0][1].weight", "greater than 0"),
    (
        "an unknown provider",
        "models auto chain 1 provider",
        "newapi",
        "models.auto.chain[1].provider",
        "unknown provider 'newapi'; did you mean 'new-api'?",
    ),
    (
        "an unknown provider in a list",
        "models auto chain 0 1 provider",
        "zzz",
        "models.auto.chain[0][1].provider",
        "unknown provider 'zzz'; there are 'ark', 'new-api'",
    ),
    (
        "a deployment twice in a chain",
        "models auto chain 1",
        {"provider": "ark", "model": "glm"},
        "models.auto.chain[1]",
        "repeats ark/glm, which is already at chain[0][0]",
    ),
    (
        "a deployment twice in a step",
        "models auto chain 0 1",
        {"provider": "ark", "model": "glm"},
        "models.auto.chain[0][1]",
        "repeats ark/glm",
    ),
    (
        "a first rest longer than the longest",
        "models auto chain 1 cooldown",
        {"base": 4000},
        "models.auto.chain[1]",
        "cooldown.base (4000 s) exceeds cooldown.max (1800 s)",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "place", "reason"), [row[1:] for row in PROBLEMS], ids=[row[0] for row in PROBLEMS]
)
def test_a_mistake_is_reported_with_its_place_and_reason(path: str, value: object, place: str, reason: str) -> None:
    spec, problems = parse(with_setting(path, value))
    assert spec is None
    assert [problem.path for problem in problems] == [place]
    assert reason in problems[0].reason


def test_mistakes_of_every_kind_are_reported_at_once() -> None:
    data = with_setting("models other chain", [{"provider": "nobody", "model": "x"}])
    data["providers"]["ark"]["secret"] = "not a name"
    data["models"]["auto"]["retries"] = -1
    data["models"]["auto"]["chain"][1]["provider"] = "nobody"
    spec, problems = parse(data)
    assert spec is None
    assert {problem.path for problem in problems} == {
        "providers.ark.secret",
        "models.auto.retries",
        "models.auto.chain[1].provider",
        "models.other.chain[0].provider",
    }


@pytest.mark.parametrize(
    ("settings", "base_url", "region"),
    [
        pytest.param({}, "", None, id="where the function runs"),
        pytest.param({"region": "eu-west-1"}, "", "eu-west-1", id="in another region"),
        pytest.param({"region": "us-gov-west-1"}, "", "us-gov-west-1", id="in another partition"),
        pytest.param({"base_url": "", "secret": ""}, "", None, id="with names left empty"),
        pytest.param({"base_url": "https://vpce.example/"}, "https://vpce.example", None, id="at an own address"),
    ],
)
def test_bedrock_needs_neither_a_url_nor_a_secret(settings: dict[str, str], base_url: str, region: str | None) -> None:
    data = with_setting("providers bedrock", {"type": "bedrock", **settings})
    data["models"]["auto"]["chain"].append({"provider": "bedrock", "model": "us.amazon.nova-pro-v1:0"})
    catalogue, problems = resolve(spec_of(data))
    assert problems == []
    *_, last = catalogue.models["auto"].chain
    assert (last.id, last.formats) == ("bedrock/us.amazon.nova-pro-v1:0", ("converse",))
    assert (last.provider.base_url, last.provider.secret, last.provider.region) == (base_url, "", region)
    assert not last.provider.keyed


@pytest.mark.parametrize(
    ("provider", "formats", "called"),
    [
        (None, None, ("converse",)),
        (None, ["messages"], ("messages",)),
        (["chat", "responses"], None, ("chat", "responses")),
    ],
)
def test_bedrock_is_called_through_converse_or_in_its_native_formats(
    provider: list[str] | None, formats: list[str] | None, called: tuple[str, ...]
) -> None:
    data = with_setting("providers bedrock", {"type": "bedrock", **({"formats": provider} if provider else {})})
    member = {"provider": "bedrock", "model": "nova", **({"formats": formats} if formats else {})}
    data["models"]["auto"]["chain"] = [member]
    [deployment] = resolve(spec_of(data))[0].models["auto"].chain
    assert deployment.formats == called


def test_a_deployment_of_bedrock_has_native_formats_only() -> None:
    data = with_setting("providers bedrock", {"type": "bedrock"})
    data["models"]["auto"]["chain"] = [{"provider": "bedrock", "model": "nova", "formats": ["embeddings"]}]
    spec, problems = parse(data)
    assert spec is None
    assert [problem.path for problem in problems] == ["models.auto.chain[0].formats"]


@pytest.mark.parametrize("data", [None, [], "text", 5, {}], ids=["nothing", "a list", "text", "a number", "empty"])
def test_a_file_without_routes_is_rejected(data: object) -> None:
    assert parse(data)[0] is None
    assert parse(data)[1][0].reason.startswith("must hold")


@pytest.mark.parametrize("part", ["providers", "models"])
def test_routes_without_a_part_are_rejected(part: str) -> None:
    spec, problems = parse({**GOOD, part: {}})
    assert spec is None
    assert problems[0].path == part


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://ark.example/v3", "http:// or https://"),
        ("ark.example/v3", "http:// or https://"),
        ("https://", "with a host"),
        ("https:///v3", "with a host"),
        ("", "a URL"),
        ("https://ark.example /v3", "without blanks"),
        ("https://ark..example/v3", "must be a URL"),
        (f"https://{'a' * 64}.example/v3", "must be a URL"),
        ("https://ark.example\n/v3", "without blanks"),
        ("https://key:pass@ark.example/v3", "credentials"),
        ("https://key@ark.example/v3", "credentials"),
        ("https://ark.example/v3?key=sk-secret", "query"),
        ("https://ark.example/v3#part", "fragment"),
        ("https://ark.example:port/v3", "a URL"),
        ("https://ark.example:99999/v3", "a URL"),
        ("https://[::1/v3", "a URL"),
        ("https://ark.example/v1/chat/completions", "/chat/completions begins"),
    ],
)
def test_a_base_url_that_can_not_be_one_is_rejected_without_being_repeated(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as rejected:
        checked_base_url(url)
    assert "sk-secret" not in str(rejected.value)
    assert "key:pass" not in str(rejected.value)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("sk-1234567890", "the name of a secret"),
        ("", "is missing"),
        ("MASTER_KEY", "opens the router itself"),
        ("UI_PASSWORD", "opens the router itself"),
    ],
)
def test_a_secret_is_named_and_never_given(secret: str, reason: str) -> None:
    _, problems = parse(with_setting("providers ark secret", secret))
    assert reason in problems[0].reason
    assert "sk-1234567890" not in str(problems[0])


SETTINGS = ["timeouts.connect", "timeouts.total", "retries", "max_inline_wait", "max_last_wait", "cooldown.base"]
layers = st.dictionaries(st.sampled_from(SETTINGS), st.integers(1, 10))


def nested(flat: dict[str, int]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, setting = name.rpartition(".")
        (settings.setdefault(group, {}) if group else settings)[setting] = value
    return settings


@given(defaults=layers, provider=layers, model=layers, deployment=layers)
def test_of_several_settings_the_nearest_wins(
    defaults: dict[str, int], provider: dict[str, int], model: dict[str, int], deployment: dict[str, int]
) -> None:
    data = {
        "defaults": nested(defaults),
        "providers": {"p": {"base_url": "http://p", "secret": "P", **nested(provider)}},
        "models": {"m": {"chain": [{"provider": "p", "model": "x", **nested(deployment)}], **nested(model)}},
    }
    catalogue, _ = resolve(spec_of(data))
    policy = next(catalogue.models["m"].chain).policy
    merged = {**defaults, **provider, **model, **deployment}
    for name in SETTINGS:
        group, _, setting = name.rpartition(".")
        place = {"timeouts": policy.timeouts, "cooldown": policy.cooldown}.get(group, policy)
        contract = {"timeouts": Timeouts(), "cooldown": CooldownPolicy()}.get(group, Policy())
        assert getattr(place, setting) == merged.get(name, getattr(contract, setting))


@given(layer=layers, single=st.booleans())
def test_a_row_reads_back_as_in_the_file(layer: dict[str, int], single: bool) -> None:
    deployment = {"provider": "p", "model": "x", **nested(layer)}
    other = {"provider": "p", "model": "y", "weight": 2}
    written = {"description": "d", "chain": [deployment if single else [deployment, other]], **nested(layer)}
    spec, problems = parse_row("model", "m", written)
    assert spec is not None
    assert problems == []
    row = as_row(spec)
    assert row == written
    assert json.loads(json.dumps(row)) == row
    assert parse_row("model", "m", row) == (spec, [])


@pytest.mark.parametrize(
    ("kind", "name", "row", "reported"),
    [
        ("provider", "ark", {"base_url": "x", "secret": "ARK"}, "providers.ark.base_url: must be an http"),
        ("provider", "a#b", GOOD["providers"]["ark"], "providers.a#b: must not contain '#'"),
        ("model", "auto", {"chain": [{"provider": "ark"}]}, "models.auto.chain[0].model: is missing"),
        ("defaults", "defaults", {"retries": -1}, "defaults.retries: must be at least 0"),
    ],
)
def test_a_row_is_checked_as_the_file_is(kind: Kind, name: str, row: dict[str, Any], reported: str) -> None:
    spec, problems = parse_row(kind, name, row)
    assert spec is None
    assert str(problems[0]).startswith(reported)


def test_the_valid_part_of_a_chain_with_mistakes_is_served() -> None:
    spec = spec_of(GOOD)
    fewer = RoutesSpec(providers={"ark": spec.providers["ark"]}, models=spec.models)
    catalogue, problems = resolve(fewer)
    assert [deployment.id for deployment in catalogue.models["auto"].chain] == ["ark/glm"]
    assert [problem.path for problem in problems] == [
        "models.auto.chain[0][1].provider",
        "models.auto.chain[1].provider",
    ]


def test_a_model_without_a_deployment_left_is_not_served() -> None:
    catalogue, problems = resolve(RoutesSpec(models=spec_of(GOOD).models))
    assert catalogue.models == {}
    assert len(problems) == 3


def test_a_given_base_url_overrides_the_routes() -> None:
    catalogue, _ = resolve(spec_of(GOOD), {"ark": "http://127.0.0.1:9", "nobody": "http://127.0.0.1:8"})
    assert [deployment.provider.base_url for deployment in catalogue.models["auto"].chain] == [
        "http://127.0.0.1:9",
        "http://127.0.0.1:3000/v1",
        "http://127.0.0.1:3000/v1",
    ]


def test_a_price_comes_with_its_deployment_and_goes_back_into_the_row() -> None:
    price = {"input": 0.6, "output": 2.2, "cache_read": 0.11, "source": "genai-prices 1"}
    spec = spec_of(with_setting("models auto chain 1 price", price))
    glm, _, codex = resolve(spec)[0].models["auto"].chain
    assert (glm.price, codex.price) == (None, Price(0.6, 2.2, cache_read=0.11, source="genai-prices 1"))
    chain = as_row(spec.models["auto"])["chain"]
    assert isinstance(chain, list)
    assert chain[1]["price"] == price


def test_a_deployment_has_its_capabilities() -> None:
    able: dict[str, object] = {"context_window": 200_000, "vision": False, "tools": False, "base_model": "glm-4.7"}
    spec = spec_of({**GOOD, "models": {"auto": {"chain": [{"provider": "ark", "model": "glm", **able}]}}})
    [glm] = resolve(spec)[0].models["auto"].chain
    assert (glm.context_window, glm.vision, glm.tools, glm.base_model) == (200_000, False, False, "glm-4.7")
    plain = next(resolve(spec_of(GOOD))[0].models["auto"].chain)
    assert (plain.context_window, plain.vision, plain.tools, plain.base_model) == (None, True, True, None)


def test_a_disabled_deployment_is_left_out_of_its_chain() -> None:
    catalogue, problems = resolve(spec_of(with_setting("models auto chain 0 0 enabled", False)))
    assert problems == []
    assert [each.id for each in catalogue.models["auto"].chain] == ["new-api/gpt", "new-api/codex"]
    assert not catalogue.switched_off


def test_a_model_without_enabled_deployments_is_switched_off() -> None:
    chain = [{"provider": "ark", "model": "glm", "enabled": False}]
    catalogue, problems = resolve(spec_of(with_setting("models auto chain", chain)))
    assert problems == []
    assert not catalogue.models
    assert catalogue.switched_off == {"auto"}


def test_a_model_caches_as_its_own_row_says_even_if_another_model_answers() -> None:
    chain = [{"provider": "a", "model": "m"}]
    parsed, problems = parse(
        {
            "providers": {"a": {"base_url": "https://a.example/v1", "secret": "A"}},
            "models": {
                "plain": {"chain": chain},
                "stored": {"chain": chain, "cache": {"seconds": 3600}},
                "routed": {"routing": {"by": "complexity", "mini": "plain", "standard": "stored"}},
                "both": {
                    "cache": {"seconds": 60},
                    "routing": {"by": "complexity", "mini": "plain", "standard": "stored"},
                },
            },
        }
    )
    assert parsed is not None, problems
    catalogue, _ = resolve(parsed)
    assert {name: model.cache_seconds for name, model in catalogue.models.items()} == {
        "plain": 0,
        "stored": 3600,
        "routed": 0,
        "both": 60,
    }
