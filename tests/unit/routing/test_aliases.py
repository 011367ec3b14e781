"""Aliases: what a name means, and which aliases a routes file may have."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.core.models import Catalogue, VirtualModel
from vibe_router.core.patterns import by_precedence, matches
from vibe_router.routing.changes import changes, document_of, read_rows, rows_of
from vibe_router.routing.spec import MAX_ALIASES, parse, resolve

MODELS = {name: VirtualModel(name, "", ()) for name in ("auto-chat", "auto-claude", "auto-mini")}
ALIASES = {
    "gpt-4o": "auto-mini",
    "gpt-*": "auto-chat",
    "gpt-5*-mini": "auto-mini",
    "gpt-5*": "auto-claude",
    "auto-mini": "auto-chat",
}


@pytest.mark.parametrize(
    ("name", "own", "model"),
    [
        pytest.param("auto-chat", {}, "auto-chat", id="a model"),
        pytest.param("auto-mini", {}, "auto-mini", id="a model wins over an alias"),
        pytest.param("gpt-4o", {}, "auto-mini", id="an exact alias wins over a pattern"),
        pytest.param("gpt-5.1", {}, "auto-claude", id="the longer pattern wins"),
        pytest.param("gpt-5.1-mini", {}, "auto-mini", id="the longest pattern wins"),
        pytest.param("gpt-4.1", {}, "auto-chat", id="the shorter pattern is left"),
        pytest.param("o3", {}, "o3", id="no alias"),
        pytest.param("auto-chat", {"auto-chat": "auto-mini"}, "auto-mini", id="a key's own alias wins over a model"),
        pytest.param("auto-chat", {"auto-*": "auto-mini"}, "auto-chat", id="a key's own pattern does not"),
        pytest.param("gpt-4o", {"gpt-*": "auto-claude"}, "auto-mini", id="nor over an exact alias"),
        pytest.param("gpt-5.1", {"*": "auto-mini"}, "auto-mini", id="but over every pattern of the routes"),
        pytest.param("gone", {}, "gone", id="a broken model keeps its name"),
        pytest.param("off", {"*": "auto-mini"}, "off", id="a model that is switched off keeps its name"),
        pytest.param("gpt-" + "5" * 10_000, {}, "gpt-" + "5" * 10_000, id="a name that no model has"),
    ],
)
def test_a_name_means_a_model(name: str, own: dict[str, str], model: str) -> None:
    catalogue = Catalogue(MODELS, frozenset({"gone"}), frozenset({"off"}), ALIASES)
    assert catalogue.resolve(name, own) == model


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "b", "ab", "*"]), max_size=6).map("".join), st.text("ab", max_size=8))
def test_a_pattern_matches_as_the_shell_does(pattern: str, name: str) -> None:
    import re

    regular = re.compile("".join(".*" if each == "*" else each for each in pattern))
    assert matches(pattern, name) == bool(regular.fullmatch(name))


def test_patterns_are_tried_longest_first() -> None:
    assert by_precedence(["b*", "exact", "a*", "*", "long-*"]) == ["long-*", "a*", "b*", "*"]


def routes(aliases: object) -> dict[str, Any]:
    return {
        "providers": {"ark": {"base_url": "https://ark.example/v3", "secret": "ARK_API_KEY"}},
        "models": {"auto": {"chain": [{"provider": "ark", "model": "glm"}]}},
        "aliases": aliases,
    }


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        pytest.param({"gpt-5*": "auto-chta"}, "aliases.gpt-5*: unknown model 'auto-chta'", id="no such model"),
        pytest.param({"a": "b", "b": "auto"}, "aliases.a: leads to the alias 'b'", id="an alias of an alias"),
        pytest.param({"a": "b", "b": "a"}, "aliases.a: leads to the alias 'b'", id="a loop"),
        pytest.param({"a": "a"}, "aliases.a: leads to the alias 'a'", id="a loop of one"),
        pytest.param({"auto": "auto"}, "aliases.auto: is the name of a model", id="the name of a model"),
        pytest.param({"a b": "auto"}, "aliases.a b: must not contain ' '", id="a blank"),
        pytest.param({"": "auto"}, "aliases.: must be 1 to 128 characters", id="no name"),
        pytest.param({"a": 5}, "aliases.a: must be a mapping", id="a number"),
        pytest.param({"a": {"model": "auto", "x": 1}}, "aliases.a.x: unknown setting", id="an unknown setting"),
        pytest.param(["auto"], "aliases: must be a mapping", id="a list"),
        pytest.param(
            {f"a{number}": "auto" for number in range(MAX_ALIASES + 1)}, "aliases: must have at most", id="too many"
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(aliases: object, problem: str) -> None:
    spec, problems = parse(routes(aliases))
    assert spec is None
    assert str(problems[0]).startswith(problem)


def test_aliases_survive_the_table() -> None:
    spec, problems = parse(routes({"claude-*": "auto", "gpt-5": {"model": "auto"}, "*": "auto"}))
    assert spec is not None, problems
    rows = rows_of(spec)
    assert rows["alias", "claude-*"] == {"model": "auto"}
    assert read_rows(rows) == (spec, [])
    assert document_of(rows)["aliases"] == {"*": "auto", "claude-*": "auto", "gpt-5": "auto"}
    without = {key: row for key, row in rows.items() if key != ("alias", "*")}
    assert [(each.row, each.change) for each in changes(without, rows)] == [("aliases.*", "added")]
    catalogue, problems = resolve(spec)
    assert (problems, catalogue.resolve("anything")) == ([], "auto")


def test_an_alias_whose_model_is_gone_affects_only_itself() -> None:
    spec, _ = parse(routes({"claude-*": "auto"}))
    assert spec is not None
    rows = {**rows_of(spec), ("alias", "gpt-*"): {"model": "gone"}}
    catalogue, problems = resolve(read_rows(rows)[0])
    assert [each.path for each in problems] == ["aliases.gpt-*"]
    assert catalogue.resolve("claude-x") == "auto"
