"""Shared by the commands of keys and teams: their changes, and their facts for people."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.fields import Settings

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["budget_facts", "change"]


def change(settings: Settings, connection: Connection, send: Callable[["Api", dict[str, Any]], object]) -> int:
    """Have `send` send the given settings with the admin API's client, and report the change; return the exit status.

    Raises CommandError without any setting.
    """
    from vibe_cli import output

    body = settings.body(removable=True)
    if not body:
        raise CommandError("Nothing to change. Give at least one setting, such as --budget 10.", status=1)
    with connect(connection) as api:
        answer = send(api, body)
    message = "Changed; in effect everywhere within 10 seconds."
    return output.respond(connection.as_json, answer, lambda console: console.print(message))


def budget_facts(holder: dict[str, Any]) -> dict[str, Any]:
    """Return the models, budgets, limits and labels of a key or team for people, by their names."""
    from vibe_cli import output

    return {
        "models": output.models_text(holder.get("models")),
        "spent": output.dollars(holder["spend"]) if holder.get("spend") is not None else None,
        "budget": output.budget_text(holder),
        "budget resets": output.time_text(holder.get("budget_reset_at")),
        "soft budget": output.dollars(holder["soft_budget"]) if holder.get("soft_budget") is not None else None,
        "model budgets": output.model_budgets_text(holder),
        "budget ladder": output.ladders_text(holder),
        "limits": output.limits_text(holder),
        "cached for": f"{holder['cache_seconds']} s" if holder.get("cache_seconds") is not None else None,
        "guards": ", ".join(map(str, holder.get("guards") or ())),
        "tags": ", ".join(map(str, holder.get("tags") or ())),
        "metadata": json.dumps(holder["metadata"], ensure_ascii=False) if holder.get("metadata") else None,
        "created": output.time_text(holder.get("created_at")),
        "blocked": "yes" if holder.get("blocked") else None,
    }
