"""The conversion of a LiteLLM config, setting by setting."""

import contextlib
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vibe_cli.litellm_import import Imported, LitellmConfigError, import_config
from vibe_cli.litellm_import.names import FORMATS_OF_MODES, PROVIDERS
from vibe_cli.routes_file import load_file
from vibe_router.routing.spec import RoutesSpec, resolve

MODEL = "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/gpt-5\n"


def imported(text: str) -> Imported:
    return import_config(textwrap.dedent(text), "config.yaml")


def loaded(done: Imported, folder: Path) -> RoutesSpec:
    """Return the routes as `make routes` would read them, with every variable set that they need."""
    file = folder / "routes.yaml"
    file.write_text(done.routes)
    spec = load_file(file, dict.fromkeys(done.variables, "https://set.example/v1"))
    assert resolve(spec)[1] == []
    return spec


def row(done: Imported, model: str = "m", step: int = 0, member: int = 0) -> dict[str, Any]:
    """Return a member of a chain as the text has it."""
    found = yaml.safe_load(done.routes)["models"][model]["chain"][step]
    found = found[member] if isinstance(found, list) else found
    assert isinstance(found, dict)
    return found


def chain(done: Imported, model: str) -> list[list[str]]:
    """Return a chain's models, step by step."""
    steps = yaml.safe_load(done.routes)["models"][model]["chain"]
    return [[each["model"] for each in (step if isinstance(step, list) else [step])] for step in steps]


def outline(done: Imported) -> list[str]:
    return [f"{note.line} {note.meaning} {note.path}" for note in done.notes]


def model(name: str, at: str, more: str = "") -> str:
    """Return an entry of model_list, as a line of its own."""
    return f"  - {{model_name: {name}, litellm_params: {{model: {at}{', ' if more else ''}{more}}}}}\n"


def config(*entries: str, more: str = "") -> Imported:
    return import_config("model_list:\n" + "".join(entries) + more)


def test_simple_config_is_converted_without_notes(tmp_path: Path) -> None:
    done = imported("""\
        model_list:
          - model_name: gpt-4o
            litellm_params:
              model: openai/gpt-4o
              api_key: os.environ/OPENAI_API_KEY
        """)
    assert done.routes == textwrap.dedent("""\
        # Generated from config.yaml by `vibe import-litellm`; comments name its lines.
        # `make routes ARGS=--dry-run` checks this file and shows what would change.

        providers:
          openai:
            base_url: https://api.openai.com/v1
            secret: OPENAI_API_KEY
            formats: [chat, responses]

        models:
          gpt-4o:
            chain:
              - {provider: openai, model: gpt-4o} # line 2
        """)
    assert (done.models, done.providers, done.secrets) == (("gpt-4o",), ("openai",), ("OPENAI_API_KEY",))
    assert done.notes == ()
    assert loaded(done, tmp_path).models["gpt-4o"].chain[0][0].model == "gpt-4o"


BASES = [
    ("openai/x", "", "https://api.openai.com/v1"),
    ("openai/x", "api_base: 'http://10.0.0.1:8317/v1/'", "http://10.0.0.1:8317/v1"),
    ("openai/x", "base_url: 'https://gate.example/v1'", "https://gate.example/v1"),
    ("openai/x", "api_base: 'https://gate.example/v1/chat/completions'", "https://gate.example/v1"),
    ("openai/x", "api_base: os.environ/GATE_URL", "${GATE_URL}"),
    ("gpt-5", "", "https://api.openai.com/v1"),
    ("claude-sonnet-4-5", "", "https://api.anthropic.com/v1"),
    ("anthropic/x", "api_base: 'https://gate.example'", "https://gate.example/v1"),
    ("anthropic/x", "api_base: 'https://gate.example/v1/messages'", "https://gate.example/v1"),
    ("azure/x", "api_base: 'https://mine.openai.azure.com/'", "https://mine.openai.azure.com/openai/v1"),
    ("azure/x", "api_base: 'https://mine.openai.azure.com/openai/v1'", "https://mine.openai.azure.com/openai/v1"),
    ("ollama/x", "api_base: 'http://box:11434'", "http://box:11434/v1"),
    ("x", "custom_llm_provider: groq", "https://api.groq.com/openai/v1"),
    ("mine/x", "api_base: 'https://gate.example/v1'", "https://gate.example/v1"),
    ("x", "api_base: 'https://gate.example/v1'", "https://gate.example/v1"),
]


@pytest.mark.parametrize(("at", "more", "base_url"), BASES, ids=[f"{at} {more}" for at, more, _ in BASES])
def test_base_url_of_a_deployment(at: str, more: str, base_url: str, tmp_path: Path) -> None:
    done = config(model("m", at, more))
    (provider,) = yaml.safe_load(done.routes)["providers"].values()
    assert provider["base_url"] == base_url
    assert row(done)["model"] == (at.partition("/")[2] or at)
    loaded(done, tmp_path)


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_every_provider_converts_to_valid_routes(prefix: str, tmp_path: Path) -> None:
    done = config(model("m", f"{prefix}/x", "api_base: 'https://gate.example'"))
    if not done.routes:  # what it speaks is not spoken here
        assert PROVIDERS[prefix].formats == ("completions",)
        assert outline(done) == ["2 left out model_list[0].litellm_params.model"]
        return
    loaded(done, tmp_path)
    own = PROVIDERS[prefix].base_url
    if own:
        done = config(model("m", f"{prefix}/x"))
        (provider,) = loaded(done, tmp_path).providers.values()
        assert provider.base_url == own
        assert provider.secret == PROVIDERS[prefix].secret


@pytest.mark.parametrize(
    ("at", "more"),
    [
        ("bedrock/x", "aws_region_name: nowhere"),
        ("bedrock/amazon.titan-embed-text-v2:0", ""),
        ("vertex_ai/gemini-2.5-pro", ""),
        ("azure/x", ""),
        ("mine/x", ""),
        ("some-model", ""),
        ("openai/*", ""),
        ("openai/x", "api_base: 'https://gate.example/v1?key=secret-of-mine'"),
        ("openai/x", "api_base: 'https://user:secret-of-mine@gate.example/v1'"),
        ("openai/x", "api_base: '${GATE}'"),
        ("openai/x", "api_base: [a]"),
        ("openai/x y", ""),
        ("''", ""),
        ("5", ""),
    ],
)
def test_deployment_without_a_usable_address_is_omitted_with_a_note(at: str, more: str) -> None:
    done = config(model("m", at, more))
    assert done.routes == ""
    assert done.models == ()
    assert [(note.line, note.meaning) for note in done.notes] == [(2, "left out")]
    assert "secret-of-mine" not in repr(done)


@pytest.mark.parametrize(
    ("at", "more", "model_there", "provider"),
    [
        ("bedrock/amazon.nova-pro-v1:0", "", "amazon.nova-pro-v1:0", {}),
        ("bedrock/converse/us.x-v1:0", "aws_region_name: us-east-1", "us.x-v1:0", {"region": "us-east-1"}),
        ("bedrock/eu-west-1/anthropic.x-v1", "", "anthropic.x-v1", {"region": "eu-west-1"}),
        ("bedrock_converse/x", "aws_region_name: os.environ/AWS_REGION", "x", {}),
        ("bedrock/x", "api_base: 'https://vpce.example/'", "x", {"base_url": "https://vpce.example"}),
    ],
)
def test_bedrock_uses_the_role_of_the_function(
    at: str, more: str, model_there: str, provider: dict[str, str], tmp_path: Path
) -> None:
    done = config(model("m", f"'{at}'", f"{more}{', ' if more else ''}aws_secret_access_key: secret-of-mine"))
    assert yaml.safe_load(done.routes)["providers"] == {"bedrock": {"type": "bedrock", **provider}}
    assert row(done) == {"provider": "bedrock", "model": model_there}
    assert done.secrets == ()
    assert "2 to do model_list[0].litellm_params.model" in outline(done)
    assert "2 left out model_list[0].litellm_params.aws_secret_access_key" in outline(done)
    assert "secret-of-mine" not in repr(done)
    loaded(done, tmp_path)


def test_variable_set_by_the_config_is_the_default(tmp_path: Path) -> None:
    more = "environment_variables:\n  GATE_URL: https://gate.example/v1\n"
    done = config(model("m", "openai/x", "api_base: os.environ/GATE_URL"), more=more)
    (provider,) = yaml.safe_load(done.routes)["providers"].values()
    assert provider["base_url"] == "${GATE_URL:-https://gate.example/v1}"
    assert (done.variables, done.notes) == ((), ())
    assert loaded(done, tmp_path).providers["gate"].base_url == "https://gate.example/v1"


def test_variable_without_a_default_is_reported(tmp_path: Path) -> None:
    done = config(model("m", "openai/x", "api_base: os.environ/GATE_URL"))
    assert done.variables == ("GATE_URL",)
    assert outline(done) == ["2 to do model_list[0].litellm_params.api_base"]
    loaded(done, tmp_path)


def test_plain_key_is_never_repeated_and_gets_a_name() -> None:
    done = config(
        model("a", "openai/x", "api_key: sk-plain-1"),
        model("b", "openai/x", "api_key: sk-plain-2"),
        model("c", "openai/y", "api_key: sk-plain-1"),
        model("d", "openai/z", "api_key: os.environ/OPENAI_API_KEY"),
        more="general_settings: {master_key: sk-plain-3}\nenvironment_variables: {OTHER_KEY: sk-plain-4}\n",
    )
    assert "sk-plain" not in repr(done)
    secrets = {name: each["secret"] for name, each in yaml.safe_load(done.routes)["providers"].items()}
    assert secrets == {"openai": "OPENAI_API_KEY_2", "openai-2": "OPENAI_API_KEY_3", "openai-3": "OPENAI_API_KEY"}
    assert row(done, "a")["provider"] == row(done, "c")["provider"] == "openai"
    assert outline(done) == [
        "2 to do model_list[0].litellm_params.api_key",
        "3 to do model_list[1].litellm_params.api_key",
        "4 to do model_list[2].litellm_params.api_key",
        "6 to do general_settings.master_key",
        "7 to do environment_variables.OTHER_KEY",
    ]


def test_reserved_variable_gets_another_name() -> None:
    done = config(model("m", "openai/x", "api_key: os.environ/LITELLM_MASTER_KEY"))
    assert done.secrets == ("OPENAI_API_KEY",)
    assert outline(done) == ["2 changed model_list[0].litellm_params.api_key"]


def test_named_credential_is_resolved() -> None:
    more = (
        "credential_list:\n  - credential_name: mine\n    credential_values:\n"
        "      {api_key: os.environ/MINE_KEY, api_base: 'https://gate.example/v1'}\n"
    )
    done = config(model("m", "openai/x", "litellm_credential_name: mine"), more=more)
    assert yaml.safe_load(done.routes)["providers"] == {
        "gate": {"base_url": "https://gate.example/v1", "secret": "MINE_KEY"}
    }
    assert done.notes == ()


def test_unused_credential_is_reported() -> None:
    values = "\n    credential_values: {api_key: os.environ/A_KEY}\n"
    more = "credential_list:\n" + "".join(f"  - credential_name: {name}{values}" for name in ("mine", "[odd]", "other"))
    done = config(model("m", "openai/x", "litellm_credential_name: mine"), more=more)
    assert outline(done) == ["6 left out credential_list[1]", "8 left out credential_list[2]"]
    assert "A_KEY" in done.secrets


def test_order_makes_steps_and_weight_balances_them(tmp_path: Path) -> None:
    done = config(
        model("m", "openai/second", "order: 2"),
        model("m", "openai/first-a", "order: 1, weight: 30"),
        model("m", "openai/first-b", "order: 1, weight: 10"),
        model("m", "openai/last"),
    )
    assert chain(done, "m") == [["first-a", "first-b"], ["second"], ["last"]]
    assert row(done, member=0)["weight"] == 3
    assert "weight" not in row(done, member=1)
    assert outline(done) == ["5 changed model_list[3]"]
    assert loaded(done, tmp_path).models["m"].chain[0][0].weight == 3


def test_fallback_order_is_an_order() -> None:
    entries = (
        "  - {model_name: m, litellm_params: {model: openai/b}, model_info: {fallback_order: 2}}\n",
        model("m", "openai/a", "fallback_order: 1"),
    )
    assert chain(config(*entries), "m") == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("shares", "weights", "meanings"),
    [
        (("rpm: 900", "rpm: 300"), [3, 1], ["changed", "changed"]),
        (("tpm: 5000000", "tpm: 20000000"), [1, 4], ["changed", "changed"]),
        (("weight: 0.5, rpm: 10", "weight: 1.5"), [0.5, 1.5], ["left out"]),
        (("weight: 3000000", "weight: 1"), [1_000_000, 1 / 3], []),
        (("", ""), [1, 1], []),
    ],
    ids=["rpm", "tpm", "weight before rpm", "above what routes take", "no limits"],
)
def test_shares_become_weights(
    shares: tuple[str, str], weights: list[float], meanings: list[str], tmp_path: Path
) -> None:
    done = config(*(model("m", f"openai/{name}", share) for name, share in zip("ab", shares, strict=True)))
    assert [each.weight for each in loaded(done, tmp_path).models["m"].chain[0]] == pytest.approx(weights)
    assert [note.meaning for note in done.notes] == meanings


def test_deployment_without_a_share_follows_its_step() -> None:
    done = config(model("m", "openai/a", "weight: 1"), model("m", "openai/b", "weight: 0"), model("m", "openai/c"))
    assert chain(done, "m") == [["a"], ["b", "c"]]
    assert outline(done) == ["3 changed model_list[1]", "4 changed model_list[2]"]


def test_duplicate_deployment_gets_both_shares() -> None:
    done = config(
        model("m", "openai/a", "weight: 1"), model("m", "openai/a", "weight: 2"), model("m", "openai/b", "weight: 1")
    )
    assert chain(done, "m") == [["a", "b"]]
    assert row(done)["weight"] == 3
    assert outline(done) == ["3 changed model_list[1]"]


FALLBACKS = [
    ("one after another", "router_settings: {fallbacks: [{a: [b, c]}]}", [["x"], ["y"], ["z"]], []),
    ("of litellm_settings", "litellm_settings: {fallbacks: [{a: [b]}]}", [["x"], ["y"]], []),
    ("as a mapping", "router_settings: {fallbacks: {a: b}}", [["x"], ["y"]], []),
    ("of fallbacks", "router_settings: {fallbacks: [{a: [b]}, {b: [c]}]}", [["x"], ["y"], ["z"]], []),
    ("in a circle", "router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}", [["x"], ["y"]], []),
    ("for all", "router_settings: {default_fallbacks: [c]}", [["x"], ["z"]], []),
    ("for any", "router_settings: {fallbacks: [{'*': [c]}]}", [["x"], ["z"]], []),
    ("by order", "router_settings: {fallback_order: {a: [c, b]}}", [["x"], ["z"], ["y"]], []),
    ("by id", "router_settings: {fallbacks: [{a: [id-of-y]}]}", [["x"], ["y"]], []),
    ("when too long", "router_settings: {context_window_fallbacks: [{a: [b]}]}", [["x"], ["y"]], ["changed"]),
    ("when refused", "router_settings: {content_policy_fallbacks: [{a: [b]}]}", [["x"]], ["left out"]),
    ("with parameters", "router_settings: {fallbacks: [{a: [{model: b, n: 2}]}]}", [["x"], ["y"]], ["left out"]),
    ("to nothing known", "router_settings: {fallbacks: [{a: [nope]}]}", [["x"]], ["left out"]),
    ("from nothing known", "router_settings: {fallbacks: [{nope: [a]}]}", [["x"]], ["left out"]),
    ("that are no list", "router_settings: {fallbacks: [5]}", [["x"]], ["left out"]),
    (
        "listed twice",
        "router_settings: {fallbacks: [{a: [b]}]}\nlitellm_settings: {fallbacks: [{a: [c]}]}",
        [["x"], ["y"]],
        ["left out"],
    ),
]


@pytest.mark.parametrize(("more", "steps", "meanings"), [each[1:] for each in FALLBACKS], ids=[f[0] for f in FALLBACKS])
def test_fallbacks_follow_the_own_chain(more: str, steps: list[list[str]], meanings: list[str], tmp_path: Path) -> None:
    with_id = "  - {model_name: b, litellm_params: {model: openai/y}, model_info: {id: id-of-y}}\n"
    done = config(model("a", "openai/x"), with_id, model("c", "openai/z"), more=more + "\n")
    assert chain(done, "a") == steps
    assert [note.meaning for note in done.notes] == meanings
    loaded(done, tmp_path)


def test_step_names_its_line() -> None:
    done = config(model("a", "openai/x"), model("b", "openai/y"), more="router_settings:\n  fallbacks:\n  - a: [b]\n")
    assert "      - {provider: openai, model: x} # line 2\n" in done.routes
    assert "      - {provider: openai, model: y} # line 3, by the fallback in line 6\n" in done.routes


def test_alias_has_the_same_chain(tmp_path: Path) -> None:
    more = """\
router_settings:
  model_group_alias:
    gpt-4: m
    typo: {model: m, hidden: true}
    m: m
    other: nope
    "with blank": m
"""
    done = config(model("m", "openai/x"), more=more)
    assert done.models == ("m", "gpt-4", "typo")
    assert chain(done, "gpt-4") == [["x"]]
    assert outline(done) == [
        "6 changed router_settings.model_group_alias.typo",
        "7 left out router_settings.model_group_alias.m",
        "8 left out router_settings.model_group_alias.other",
        "9 left out router_settings.model_group_alias.with blank",
    ]
    loaded(done, tmp_path)


DEFAULTS = [
    ("router_settings: {num_retries: 3}", {"retries": 3}, []),
    ("litellm_settings: {num_retries: 3}", {"retries": 3}, []),
    (
        "router_settings: {num_retries: 3}\nlitellm_settings: {num_retries: 5}",
        {"retries": 3},
        ["7 left out litellm_settings.num_retries"],
    ),
    ("router_settings: {num_retries: 99}", {"retries": 10}, ["6 changed router_settings.num_retries"]),
    (
        "router_settings: {timeout: 20}",
        {"timeouts": {"first_byte": 20, "first_token": 20, "response": 20}},
        [],
    ),
    (
        "litellm_settings: {request_timeout: 600}",
        {"timeouts": {"response": 280}},
        ["6 changed litellm_settings.request_timeout"],
    ),
    (
        "router_settings: {timeout: 120, stream_timeout: 7.5}",
        {"timeouts": {"first_byte": 7.5, "first_token": 7.5, "response": 120}},
        [],
    ),
    ("router_settings: {cooldown_time: 30}", {"cooldown": {"base": 30}}, ["6 changed router_settings.cooldown_time"]),
    (
        "router_settings: {cooldown_time: 7200}",
        {"cooldown": {"base": 7200, "max": 7200}},
        ["6 changed router_settings.cooldown_time"],
    ),
    ("router_settings: {cooldown_time: 0}", None, ["6 left out router_settings.cooldown_time"]),
    ("router_settings: {num_retries: many}", None, ["6 left out router_settings.num_retries"]),
    ("router_settings: {timeout: .inf}", None, ["6 left out router_settings.timeout"]),
    ("router_settings: {timeout: true}", None, ["6 left out router_settings.timeout"]),
    ("router_settings: {timeout: os.environ/T}", None, ["6 left out router_settings.timeout"]),
    ("router_settings: {timeout: '100'}", {"timeouts": {"response": 100}}, []),
    ("router_settings: {routing_strategy: simple-shuffle}", None, []),
    ("router_settings: {routing_strategy: least-busy}", None, ["6 left out router_settings.routing_strategy"]),
    ("router_settings: {allowed_fails: 3}", None, ["6 left out router_settings.allowed_fails"]),
    ("router_settings: {redis_host: h}", None, ["6 left out router_settings.redis_host"]),
    ("router_settings: {new_setting: 1}", None, ["6 left out router_settings.new_setting"]),
    ("router_settings: {set_verbose: false, retry_policy: {}, timeout: null}", None, []),
    ("router_settings: 5", None, ["6 left out router_settings"]),
    ("litellm_settings: {drop_params: true}", None, ["6 left out litellm_settings.drop_params"]),
    ("litellm_settings: {ssl_verify: false}", None, ["6 left out litellm_settings.ssl_verify"]),
    ("litellm_settings: {success_callback: [langfuse]}", None, ["6 left out litellm_settings.success_callback"]),
    ("general_settings: {master_key: os.environ/K}", None, ["6 to do general_settings.master_key"]),
    ("general_settings: {database_url: x}", None, ["6 left out general_settings.database_url"]),
    ("include: [other.yaml]", None, ["6 left out include"]),
    ("guardrails: [{guardrail_name: g}]", None, ["6 left out guardrails"]),
    ("environment_variables: 5", None, ["6 left out environment_variables"]),
]


@pytest.mark.parametrize(("more", "defaults", "notes"), DEFAULTS, ids=[each[0] for each in DEFAULTS])
def test_settings_of_all_models(more: str, defaults: dict[str, Any] | None, notes: list[str], tmp_path: Path) -> None:
    done = import_config(f"{MODEL}\n{more}\n")
    assert yaml.safe_load(done.routes).get("defaults") == defaults
    assert outline(done) == notes
    loaded(done, tmp_path)


PARAMS = [
    ("timeout: 10, stream_timeout: 5", {"timeouts": {"first_byte": 5, "first_token": 5, "response": 10}}, []),
    ("num_retries: 4", {"retries": 4}, []),
    ("max_retries: 0", {"retries": 0}, []),
    ("cooldown_time: 3", {"cooldown": {"base": 3}}, ["cooldown_time"]),
    ("rpm: 10", {}, ["rpm"]),
    ("temperature: 0", {}, ["temperature"]),
    ("extra_headers: {a: b}", {}, ["extra_headers"]),
    ("something_new: 1", {}, ["something_new"]),
    ("drop_params: false", {}, []),
    (
        "input_cost_per_token: 0.0000025, output_cost_per_token: 1e-5, cache_read_input_token_cost: '0.00000125'",
        {"price": {"input": 2.5, "output": 10, "cache_read": 1.25}},
        [],
    ),
    ("input_cost_per_token: -1", {}, ["input_cost_per_token"]),
    ("input_cost_per_token: 1", {}, ["input_cost_per_token", "input_cost_per_token"]),
    ("output_cost_per_token: 1e-6", {"price": {"output": 1, "input": 0}}, ["output_cost_per_token"]),
    ("input_cost_per_second: 1", {}, ["input_cost_per_second"]),
]


@pytest.mark.parametrize(("params", "expected", "reported"), PARAMS, ids=[each[0] for each in PARAMS])
def test_settings_of_a_deployment(params: str, expected: dict[str, Any], reported: list[str], tmp_path: Path) -> None:
    done = config(model("m", "openai/x", params))
    found = row(done)
    assert {name: found[name] for name in found if name not in ("provider", "model")} == expected
    assert [note.path for note in done.notes] == [f"model_list[0].litellm_params.{name}" for name in reported]
    loaded(done, tmp_path)


def test_price_in_model_info(tmp_path: Path) -> None:
    info = "model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}"
    done = config(f"  - {{model_name: m, litellm_params: {{model: openai/x}}, {info}}}\n")
    assert row(done)["price"] == {"input": 1, "output": 2}
    loaded(done, tmp_path)


def test_only_missing_capabilities_are_written(tmp_path: Path) -> None:
    info = "{max_input_tokens: 8192, supports_vision: false, supports_function_calling: true}"
    done = config(f"  - {{model_name: m, litellm_params: {{model: openai/x}}, model_info: {info}}}\n")
    assert row(done) == {"provider": "openai", "model": "x", "vision": False, "context_window": 8192}
    assert done.notes == ()
    loaded(done, tmp_path)


@pytest.mark.parametrize(
    ("base", "named", "notes"),
    [("azure/gpt-5", "gpt-5", 0), ("gpt-5", "gpt-5", 0), ("openai/x", None, 0), ("gpt 5", None, 1), ("5", None, 1)],
)
def test_base_model_is_written_without_its_provider(base: str, named: str | None, notes: int) -> None:
    info = f"{{base_model: {base}}}"
    done = config(f"  - {{model_name: m, litellm_params: {{model: openai/x}}, model_info: {info}}}\n")
    assert row(done).get("base_model") == named
    assert len(done.notes) == notes


def test_blocked_deployment_is_disabled(tmp_path: Path) -> None:
    done = config("  - {model_name: m, litellm_params: {model: openai/x}, model_info: {blocked: true}}\n")
    assert row(done)["enabled"] is False
    assert loaded(done, tmp_path).models["m"].chain[0][0].enabled is False


@pytest.mark.parametrize("mode", FORMATS_OF_MODES)
def test_mode_becomes_a_format_or_the_model_is_omitted(mode: str, tmp_path: Path) -> None:
    done = config(f"  - {{model_name: m, litellm_params: {{model: openai/x}}, model_info: {{mode: {mode}}}}}\n")
    if done.routes:
        assert row(done).get("formats", []) == list(FORMATS_OF_MODES[mode])
        loaded(done, tmp_path)
    else:
        assert outline(done) == ["2 left out model_list[0].model_info.mode"]


@pytest.mark.parametrize(
    ("at", "formats"),
    [
        ("openai/text-embedding-3-small", ["embeddings"]),
        ("text-embedding-3-large", ["embeddings"]),
        ("mistral/mistral-embed", ["embeddings"]),
        ("openai/whisper-1", ["transcriptions"]),
        ("openai/gpt-4o-mini-tts", ["speech"]),
        ("openai/gpt-image-1", ["images"]),
        ("openai/gpt-5", None),
    ],
)
def test_mode_is_inferred_from_the_name(at: str, formats: list[str] | None, tmp_path: Path) -> None:
    done = config(model("m", at))
    assert row(done).get("formats") == formats
    assert outline(done) == (["2 changed model_list[0].litellm_params.model"] if formats else [])
    loaded(done, tmp_path)


def test_responses_prefix_is_a_format() -> None:
    assert row(config(model("m", "openai/responses/gpt-5-codex"))) == {
        "provider": "openai",
        "model": "gpt-5-codex",
        "formats": ["responses"],
    }


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("", "config.yaml: has no model_list"),
        ("model_list: []", "config.yaml: has no model_list"),
        ("[1, 2]", "config.yaml: has no model_list"),
        ("a: [", "config.yaml:1: is not YAML"),
        ("a: b\n\tc: d", "config.yaml:2: is not YAML"),
        ("[" * 3000, "config.yaml: is nested too deeply"),
    ],
)
def test_invalid_text_is_rejected(text: str, reported: str) -> None:
    with pytest.raises(LitellmConfigError, match="^" + reported.replace(".", r"\.")):
        import_config(text)


@pytest.mark.parametrize(
    "entries",
    ["5", "{a: b}", "[5]", "[{model_name: m}]", "[{model_name: [m], litellm_params: {model: openai/x}}]", "[{}]"],
)
def test_invalid_entries_are_reported(entries: str) -> None:
    done = import_config(f"model_list: {entries}\n")
    assert done.routes == ""
    assert [note.meaning for note in done.notes] == ["left out"]


NAMES = st.sampled_from(["a", "b", "c", "gpt-4o", "1", "true", "no", "x y", "*", "a/b", "é", ""])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=12)
    | NAMES
    | st.sampled_from(
        ["os.environ/A_KEY", "os.environ/", "os.environ/a b", "1e-7", "https://h/v1", "${A}", "1e999999"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(0, 3), inner, max_size=3),
    max_leaves=4,
)
SECRET = st.sampled_from(["sk-plain-secret-1", "sk-plain-secret-2"])
PARAM_NAMES = [
    "api_base",
    "base_url",
    "custom_llm_provider",
    "order",
    "fallback_order",
    "weight",
    "rpm",
    "tpm",
    "timeout",
    "stream_timeout",
    "max_retries",
    "num_retries",
    "cooldown_time",
    "input_cost_per_token",
    "output_cost_per_token",
    "litellm_credential_name",
    "temperature",
]
MODELS = st.sampled_from(["openai/x", "openai/y", "anthropic/z", "azure/w", "bedrock/q", "gpt-5", "what", "openai/a b"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "model_name": NAMES | VALUES,
        "litellm_params": VALUES
        | st.builds(
            lambda model, key, more: {"model": model, "api_key": key, **more},
            MODELS,
            SECRET,
            st.dictionaries(st.sampled_from(PARAM_NAMES), VALUES | st.sampled_from([1, 2.5, "3"]), max_size=4),
        ),
        "model_info": VALUES
        | st.dictionaries(st.sampled_from(["id", "mode", "order", "base_model"]), VALUES, max_size=3),
        "rpm": VALUES,
    },
)
SETTINGS = st.dictionaries(
    st.sampled_from(
        [
            "fallbacks",
            "default_fallbacks",
            "context_window_fallbacks",
            "fallback_order",
            "model_group_alias",
            "num_retries",
            "timeout",
            "stream_timeout",
            "request_timeout",
            "cooldown_time",
            "routing_strategy",
            "allowed_fails",
            "x",
        ]
    ),
    VALUES | st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=2), max_size=3),
    max_size=5,
)
CONFIGS = st.fixed_dictionaries(
    {"model_list": st.lists(ENTRIES, min_size=1, max_size=5) | VALUES},
    optional={
        "router_settings": SETTINGS | VALUES,
        "litellm_settings": SETTINGS | VALUES,
        "general_settings": VALUES | st.fixed_dictionaries({"master_key": SECRET}),
        "environment_variables": VALUES | st.dictionaries(st.just("A_KEY"), VALUES | SECRET, max_size=1),
        "credential_list": VALUES,
        "include": VALUES,
    },
)


@given(CONFIGS)
def test_converted_routes_are_valid_and_contain_no_key(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    try:
        done = import_config(text)
    except LitellmConfigError:
        return
    assert import_config(text) == done
    assert "sk-plain-secret" not in repr(done)
    assert all(1 <= note.line <= text.count("\n") + 1 for note in done.notes)
    if done.models:
        loaded(done, tmp_path_factory.getbasetemp())
    else:
        assert done.routes == ""


@given(st.text() | st.text(alphabet="model_list: -[]{}&*!#'\"\n\t|>5~"))
def test_arbitrary_text_does_not_crash(text: str) -> None:
    for whole in (text, "model_list:\n" + text):
        with contextlib.suppress(LitellmConfigError):
            import_config(whole)
