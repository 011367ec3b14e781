"""The snippets in docs/clients.md have valid syntax, and call the model names and address of the local router."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.infrastructure.expanded import ROOT
from vibe_cli.routes_file import load_file

PAGE = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def snippets(language: str) -> list[str]:
    return [text for each, text in SNIPPETS if each == language]


def test_every_language_is_checked() -> None:
    assert {language for language, _ in SNIPPETS} == {"python", "js", "sh", "toml", "json", "yaml"}


@pytest.mark.parametrize("text", snippets("python"))
def test_python_compiles(text: str) -> None:
    compile(text, "snippet", "exec")


@pytest.mark.parametrize("text", snippets("yaml"))
def test_yaml_agrees_with_the_shipped_routes(text: str) -> None:
    shipped = yaml.safe_load((ROOT / "routes.yaml").read_text(encoding="utf-8"))
    for name, model in yaml.safe_load(text)["aliases"].items():
        assert shipped["aliases"][name] == model


@pytest.mark.parametrize("text", snippets("sh"))
def test_shell_parses(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("text", snippets("js"))
def test_javascript_parses(text: str, tmp_path: Path) -> None:
    (tmp_path / "snippet.mjs").write_text(text)
    subprocess.run(["node", "--check", tmp_path / "snippet.mjs"], check=True)


def test_configurations_parse() -> None:
    assert tomllib.loads(*snippets("toml"))["model_providers"]["vibe"]["wire_api"] == "responses"
    assert json.loads(*snippets("json"))["model"] == "vibe/auto-chat"


def test_models_and_addresses_exist() -> None:
    models = set(load_file(ROOT / "routes.yaml", {}).models)
    assert set(re.findall(r"\bauto-[\w-]+", PAGE)) <= models
    assert set(re.findall(r"https?://127\.0\.0\.1:\d+", PAGE)) == {"http://127.0.0.1:4000"}
