"""The contents of each coding agent's files for using a router."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vibe_cli.agents.edits import set_json, set_toml, set_variables

__all__ = ["CLIENTS", "Client", "Edit", "Router"]


@dataclass(frozen=True, slots=True)
class Router:
    """The router to use: its URL without /v1, a key, and the models that the key may use, as GET /v1/models lists them.

    `resolves` returns whether a name is a model or an alias.
    """

    url: str
    key: str
    models: Sequence[Mapping[str, Any]]
    catalogue: Mapping[str, Any]
    resolves: Callable[[str], bool]

    @property
    def names(self) -> list[str]:
        """The names of the models."""
        return [str(model.get("id")) for model in self.models]


@dataclass(frozen=True, slots=True)
class Edit:
    """One file of an agent, and the function that makes its new text from its old one.

    `summary` replaces the difference of a file that is too long to read.
    """

    path: Path
    apply: Callable[[str], str]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A coding agent: its name for people, how it is started, and the edits that configure it.

    `edits` takes the router, the model that the user chose (None: the agent's own default where it has one), and the
    environment.
    """

    title: str
    program: str
    edits: Callable[[Router, str | None, Mapping[str, str]], list[Edit]]


def _model(router: Router, wanted: str) -> str:
    """Return `wanted` if the router has it, else its first model."""
    return wanted if wanted in router.names else router.names[0]


_CLAUDE_WINDOW = 200_000  # tokens, of a model that declares none


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _codex(router: Router, model: str | None, environ: Mapping[str, str]) -> list[Edit]:
    folder = Path(environ.get("CODEX_HOME") or _home(environ) / ".codex")
    catalogue = folder / "vibe-models.json"
    top = {
        "model": model or _model(router, "auto-codex"),
        "model_provider": "vibe",
        "model_catalog_json": str(catalogue),
    }
    provider = {
        "name": "Vibe Router",
        "base_url": f"{router.url}/v1",
        "wire_api": "responses",
        "experimental_bearer_token": router.key,
    }
    entries = json.loads(json.dumps(router.catalogue))
    if instructions := _codex_instructions(environ):
        for entry in entries.get("models", ()):
            entry["base_instructions"] = instructions
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    return [
        Edit(folder / "config.toml", lambda before: set_toml(before, top, "model_providers.vibe", provider)),
        Edit(catalogue, lambda _: text, summary=f"Codex's metadata of {len(entries.get('models', ()))} models"),
    ]


def _codex_instructions(environ: Mapping[str, str]) -> str | None:
    """Return the base instructions that an installed Codex has for a model with plain tools; None without one."""
    program = shutil.which("codex", path=environ.get("PATH"))
    if program is None:
        return None
    try:
        ran = subprocess.run([program, "debug", "models", "--bundled"], capture_output=True, timeout=20, check=True)
        models = json.loads(ran.stdout)["models"]
        plain = [each for each in models if not each.get("tool_mode") and each.get("base_instructions")]
        return str(plain[0]["base_instructions"]) if plain else None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
        return None  # an older Codex has no such command: the router's own instructions do


def _claude(router: Router, model: str | None, environ: Mapping[str, str]) -> list[Edit]:
    folder = Path(environ.get("CLAUDE_CONFIG_DIR") or _home(environ) / ".claude")
    variables = {
        "ANTHROPIC_BASE_URL": router.url,
        "ANTHROPIC_AUTH_TOKEN": router.key,
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",  # the router's models in the /model menu
    }
    names = {"ANTHROPIC_MODEL": "claude-opus-5", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-haiku-5"}
    fallbacks = {"ANTHROPIC_MODEL": "auto-claude", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "auto-claude-mini"}
    for variable, default in names.items():  # Claude Code's own names, unless no alias knows them
        if not router.resolves(default):
            variables[variable] = _model(router, fallbacks[variable])
    if model:
        variables["ANTHROPIC_MODEL"] = model
    if "ANTHROPIC_MODEL" in variables:  # it warns of a model whose window it does not know
        chosen = next((each for each in router.models if each.get("id") == variables["ANTHROPIC_MODEL"]), {})
        variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(chosen.get("context_window") or _CLAUDE_WINDOW)
    return [Edit(folder / "settings.json", lambda before: set_json(before, {"env": variables}))]


def _opencode(router: Router, model: str | None, environ: Mapping[str, str]) -> list[Edit]:
    folder = Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config") / "opencode"
    path = Path(environ.get("OPENCODE_CONFIG") or folder / "opencode.json")
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Vibe Router",
        "options": {"baseURL": f"{router.url}/v1", "apiKey": router.key},
        "models": {str(each.get("id")): _opencode_model(each) for each in router.models},
    }
    values = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"vibe/{model or _model(router, 'auto-chat')}",
        "provider": {"vibe": provider},
    }
    return [Edit(path, lambda before: set_json(before, values))]


def _opencode_model(model: Mapping[str, Any]) -> dict[str, Any]:
    window = model.get("context_window")
    limit = {"limit": {"context": window, "output": min(window, 32_000)}} if isinstance(window, int) else {}
    return {"name": str(model.get("id")), **limit}


def _gemini(router: Router, model: str | None, environ: Mapping[str, str]) -> list[Edit]:
    folder = Path(environ.get("GEMINI_CLI_HOME") or _home(environ)) / ".gemini"
    variables = {"GEMINI_API_KEY": router.key, "GOOGLE_GEMINI_BASE_URL": router.url}
    values: dict[str, Any] = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    if model is None and not router.resolves("gemini-3-pro-preview"):
        model = _model(router, "auto-chat")
    if model:
        values["model"] = {"name": model}
    return [
        Edit(folder / "settings.json", lambda before: set_json(before, values)),
        Edit(folder / ".env", lambda before: set_variables(before, variables)),
    ]


CLIENTS: Mapping[str, Client] = {
    "codex": Client("Codex", "codex", _codex),
    "claude": Client("Claude Code", "claude", _claude),
    "opencode": Client("opencode", "opencode", _opencode),
    "gemini": Client("Gemini CLI", "gemini", _gemini),
}
