"""Codex's catalogue of models: the metadata without which Codex warns.

`GET /models?client_version=…` answers with it, and `vibe agents codex` writes it into the file that Codex's setting
`model_catalog_json` names. Entries have the fields that any version of Codex since 0.90 requires.
"""

from collections.abc import Mapping
from typing import Any

from vibe_router.core.models import VirtualModel

__all__ = ["catalogue_of"]

_CONTEXT_WINDOW = 272_000  # what Codex assumes of a model that it does not know
_TOOL_OUTPUT_TOKENS = 10_000  # what Codex keeps of the output of a tool
_EFFORTS = {
    "low": "Answers quickly, with little reasoning",
    "medium": "Balances speed and depth",
    "high": "Reasons longer about hard problems",
}
# Codex has better ones of its own, which `vibe agents codex` takes from an installed Codex.
_INSTRUCTIONS = """\
You are a coding agent in Codex, a program that runs in the user's terminal. You share a working directory with the \
user and act through the tools that you are given.

Read the code that a task concerns before you change it. Make the smallest change that solves the whole task, in the \
style of the code around it. Change files with the patch tool if there is one, and run commands with the shell tool. \
Run the project's tests or the program itself to check what you did, and repair what fails.

Never undo changes that you did not make, and never delete or overwrite work of the user without being asked. Ask only \
if a decision cannot be made from the code and the task.

Keep going until the task is complete. Then say briefly what you changed, where, and how you checked it.
"""


def catalogue_of(models: Mapping[str, VirtualModel], instructions: str | None = None) -> dict[str, Any]:
    """Return the catalogue of `models`, by the names under which Codex shows them, in this order.

    `instructions` are the base instructions that Codex sends to a model; these are short ones by default.
    """
    return {
        "models": [
            _entry(name, model, position, instructions or _INSTRUCTIONS)
            for position, (name, model) in enumerate(models.items(), 1)
        ]
    }


def _entry(name: str, model: VirtualModel, position: int, instructions: str) -> dict[str, Any]:
    chain = list(model.chain)
    windows = [deployment.context_window for deployment in chain if deployment.context_window]
    window = min(windows) if windows else _CONTEXT_WINDOW  # a longer conversation would skip a deployment
    return {
        "slug": name,
        "display_name": name,
        "description": model.description or None,
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": effort, "description": about} for effort, about in _EFFORTS.items()],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": position,
        "upgrade": None,
        "base_instructions": instructions,
        "supports_reasoning_summaries": True,
        "default_reasoning_summary": "auto",
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": _TOOL_OUTPUT_TOKENS},
        "supports_parallel_tool_calls": True,
        "context_window": window,
        "max_context_window": window,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if any(deployment.vision for deployment in chain) else ["text"],
    }
