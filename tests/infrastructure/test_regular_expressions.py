"""No regular expression in what Lambda runs, or what `make start` listens with, takes more than linear time."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import pytest

from tests.infrastructure.expanded import ROOT
from vibe_router.routing.backtracking import reasons

FOLDERS = ("layers/router", "layers/streaming_runtime", "functions/gateway", "functions/admin", "local")
NOT_EXPOSED = "local/standin/"  # a provider played for tests and for `make start`, on loopback
FULL, AT_START = {"searches": False, "whole_text": True}, {"searches": False}
SEARCHES = {"searches": True}
METHODS = {
    "fullmatch": FULL,
    "match": AT_START,
    **dict.fromkeys(("search", "sub", "subn", "split", "findall", "finditer"), SEARCHES),
}
FLAGS_AT = {"compile": 1, "sub": 4, "subn": 4, "split": 3}
BUILT_AT_RUN_TIME = {
    "vibe_router/guards/findings.py": 1,  # an operator's pattern, which routing.guard_patterns has checked
    "vibe_router/routing/guard_patterns.py": 1,  # the same, on its check
    "vibe_router/routing/complexity/phrases.py": 1,  # of our own phrases, which its test checks one by one
    "vibe_router/upstream/redaction.py": 4,  # of a provider's key; its test lets the text grow
    "admin/router.py": 1,  # of the function's own paths: one segment at a time
}

HANDED_ON: dict[str, tuple[str, ...]] = {"_REGION": ("fullmatch",)}  # to functions that call these methods


@dataclass(frozen=True)
class _Used:
    file: str
    pattern: str | bytes
    flags: int
    method: str


@cache
def _sources() -> dict[str, str]:
    found = {}
    for folder in FOLDERS:
        base = ROOT if folder == "local" else ROOT / folder
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not (name := str(path.relative_to(base))).startswith(NOT_EXPOSED):
                found[name] = path.read_text(encoding="utf-8")
    return found


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield each call of the module `re` with its file and the name of the function."""
    for file, text in _sources().items():
        if "import re\n" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name)) if name in {*METHODS, "compile"}:
                    yield file, node, name


@cache
def _used() -> tuple[_Used | str, ...]:
    return tuple(_find_used())


def _find_used() -> Iterator[_Used | str]:
    """Yield each expression and the methods it is used with, or the file of one that is built at run time."""
    methods = {
        name: {*re.findall(rf"\b{name}\.(\w+)\(", "\n".join(_sources().values()))} & METHODS.keys()
        for name in re.findall(r"^(\w+)(?:: [^=\n]+)? = re\.compile", "\n".join(_sources().values()), re.MULTILINE)
    }
    for file, call, name in _calls():
        module = vars(import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")))
        at = FLAGS_AT.get(name, 2)
        given = call.args[at : at + 1] + [each.value for each in call.keywords if each.arg == "flags"]
        try:
            pattern, *flags = (
                eval(compile(ast.Expression(each), file, "eval"), module)  # noqa: S307 - the project's own source
                for each in (call.args[0], *given)
            )
        except NameError:
            yield file
            continue
        if name == "compile":
            constants = [each for each, value in module.items() if value == re.compile(pattern, *flags)]
            chosen = {method for each in constants for method in methods.get(each) or HANDED_ON.get(each, ())}
            chosen = chosen or set(METHODS)
        else:
            chosen = {name}
        for method in sorted(chosen):
            yield _Used(file, pattern, int(sum(flags)), method)


def test_no_expression_backtracks_more_than_linearly() -> None:
    found = [each for each in _used() if isinstance(each, _Used)]
    assert len(found) > 30
    wrong = [
        (each.file, each.pattern, each.method, why)
        for each in found
        for why in reasons(each.pattern, each.flags, **METHODS[each.method])
    ]
    assert wrong == []


def test_expressions_that_are_built_at_run_time_are_known() -> None:
    assert Counter(each for each in _used() if isinstance(each, str)) == BUILT_AT_RUN_TIME


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(a+)+b", "match"),
        (r"(?:a{1,5})*b", "match"),
        (r"(\w+\s?)+$", "match"),
        (r"(?:ab|a|b)*c", "match"),
        (r"a*a*", "fullmatch"),
        (r"a*a*+b", "match"),
        (r"[a-z]*={0,2}[x\n]*", "fullmatch"),
        (r"name=.*;.*;", "match"),
        (r"[a-z]+_", "search"),
        (r"\s*\n", "sub"),
        (r'"(?:[^"\\]++|\\.)*+"', "finditer"),
        (r"(a)\1*", "match"),
        (r"(?=.*x)y", "search"),
        (r"(?m)^\s*x", "search"),
    ],
)
def test_backtracking_expressions_are_found(pattern: str, method: str) -> None:
    assert reasons(pattern, 0, **METHODS[method])


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"[a-z]+_x", "fullmatch"),
        (r"a*+={0,2}+a*+", "fullmatch"),
        (r"//+", "sub"),
        (r"\b[A-Z]+\b", "search"),
        (r"(?m)^[ \t]*x", "search"),
        (r"^\s*a|b", "search"),
        (r"ab(?!\s+c)", "search"),
        (r"(?:ab|c)*d", "fullmatch"),
        (r"\Aname=[^;]*+;", "search"),
        (r'"(?:[^"\\]++|\\.)*+"?', "finditer"),
    ],
)
def test_linear_expressions_are_not_reported(pattern: str, method: str) -> None:
    assert reasons(pattern, 0, **METHODS[method]) == []
