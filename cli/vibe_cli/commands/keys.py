"""`keys`: create, list, change, block, rotate and delete virtual keys."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.commands.teams import find_team, team_aliases
from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError, discard_output, is_output_open
from vibe_cli.fields import KeySettings, Settings, read_keys
from vibe_cli.holders import budget_facts, change
from vibe_cli.options import Yes, command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api

__all__ = ["app", "find_key"]

_HELP = "Alias, id or prefix of an id; - reads keys from standard input, one per line."
Key = Annotated[str, typer.Argument(metavar="KEY", help=_HELP)]
Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help=_HELP)]

_DELETED_PER_CALL = 50
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{6,63}")
_SHOWN_ID = 12  # characters of an id in a table

app = command_group("Create, list, change, block, rotate and delete virtual keys.")


@app.command("create")
@with_options(settings=KeySettings, connection=Connection)
def create(
    settings: Settings,
    connection: Connection,
    file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Create one key per row of a .csv, or per line of JSON objects (- is standard input). "
            "Options apply to all of them.",
        ),
    ] = None,
) -> int:
    """Create a key, or many from a file. Each secret is shown only once."""
    from vibe_cli import output

    body = settings.body(removable=False)
    rows = read_keys(file) if file else [{}]
    with connect(connection) as api:
        bodies = [_with_team_id(api, {**body, **row}) for row in rows]
        _require_reader()
        if file:
            return _create_many(api, bodies, for_terminal=output.for_terminal(connection.as_json))
        key = api.post("/key/generate", bodies[0])
        if error := _print_secret(connection, key):
            raise CommandError(f"The key could not be shown ({error}). {_delete_unseen(api, [key])}")
    return 0


def _create_many(api: "Api", bodies: Sequence[dict[str, object]], *, for_terminal: bool) -> int:
    from vibe_cli import output
    from vibe_cli.key_batch import KeyBatch

    batch = KeyBatch(api, for_terminal=for_terminal)
    batch.create(bodies)
    if batch.output_error is not None:
        skipped = output.plural(batch.skipped, "key")
        deleted = _delete_unseen(api, batch.unseen)
        raise CommandError(f"Not all keys could be shown ({batch.output_error}). {deleted} {skipped} skipped.")
    return batch.status


def _require_reader() -> None:
    """Raise CommandError if standard output is closed: a secret that is shown once would be lost."""
    if not is_output_open():
        discard_output()
        raise CommandError("Standard output is closed, where the key would be shown once. Nothing was done.")


def _print_secret(connection: Connection, key: dict[str, Any]) -> OSError | None:
    """Print a key; return the error that prevented it."""
    from vibe_cli import output

    try:
        output.respond(connection.as_json, key, lambda console: _render_secret(console, key))
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        return error
    return None


def _render_secret(console: "Console", key: dict[str, Any]) -> None:
    from vibe_cli import output

    console.print(str(key.get("key")), style="bold green", soft_wrap=True)
    console.print("Store it now: it is not shown again.")
    console.print(output.details(_facts(key)))


@app.command("list")
@with_options(connection=Connection)
def list_keys(
    connection: Connection,
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Only of a team, by id or alias.")] = None,
) -> int:
    """List keys with their limits and spend."""
    from vibe_cli import output

    with connect(connection) as api:
        keys = list(_keys(api, team_id=find_team(api, team) if team else None))
        needs_aliases = output.for_terminal(connection.as_json) and any(key.get("team_id") for key in keys)
        aliases = team_aliases(api) if needs_aliases else {}
    return output.respond(connection.as_json, keys, lambda console: _render(console, keys, aliases))


def _render(console: "Console", keys: list[dict[str, Any]], teams: Mapping[str, str]) -> None:
    from vibe_cli import output

    rows = [
        [
            output.clean(key.get("key_alias") or "–"),
            output.clean(key.get("key_name") or "–"),
            output.clean(key.get("token") or "–")[:_SHOWN_ID],
            output.clean(teams.get(str(key.get("team_id"))) or key.get("team_id") or "–"),
            output.models_text(key.get("models")),
            output.dollars(key.get("spend")),
            output.budget_text(key),
            output.limits_text(key),
            output.time_text(key.get("expires")),
            output.styled(*_state(key)),
        ]
        for key in keys
    ]
    head = ("alias", "key", "id", "team", "models", "spent", "budget", "limits", "expires", "state")
    console.print(output.table(head, rows, numbers=("spent", "budget")) if rows else "There are no keys yet.")


def _state(key: dict[str, Any]) -> tuple[str, str]:
    """Return what prevents a key from working, or soon will, with its colour."""
    from vibe_cli import output

    if key.get("blocked"):
        return "blocked", "red"
    if key.get("expires") and output.time_until(key["expires"], None) == "over":
        return "expired", "red"
    return ("replaced", "yellow") if key.get("replaced_by") else ("", "")


def _facts(key: dict[str, Any]) -> dict[str, Any]:
    from vibe_cli import output

    return {
        "alias": key.get("key_alias"),
        "key": key.get("key_name"),
        "id": key.get("token"),
        "team": key.get("team_id"),
        "owner": key.get("user_id"),
        "aliases": ", ".join(f"{name}={model}" for name, model in (key.get("aliases") or {}).items()),
        "archived": "yes" if key.get("archive") else None,
        "expires": output.time_text(key.get("expires")),
        **budget_facts(key),
    }


@app.command("show")
@with_options(connection=Connection)
def show(key: Key, connection: Connection) -> int:
    """Show a key."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get("/key/info", key=find_key(api, key))
        info = {"token": answer.get("key"), **(answer.get("info") or {})}
        if info.get("team_id") and output.for_terminal(connection.as_json):
            info["team_id"] = team_aliases(api).get(info["team_id"], info["team_id"])
    return output.respond(connection.as_json, answer, lambda console: console.print(output.details(_facts(info))))


@app.command("update")
@with_options(settings=KeySettings, connection=Connection)
def update(key: Key, settings: Settings, connection: Connection) -> int:
    """Change a key. Settings that are not given stay; the word none removes one."""
    return change(
        settings,
        connection,
        lambda api, body: api.post("/key/update", {"key": find_key(api, key), **_with_team_id(api, body)}),
    )


@app.command("block")
@with_options(connection=Connection)
def block(keys: Keys, connection: Connection) -> int:
    """Reject requests with these keys, within 10 seconds."""
    return _set_blocked(keys, connection, "block")


@app.command("unblock")
@with_options(connection=Connection)
def unblock(keys: Keys, connection: Connection) -> int:
    """Accept requests with these keys again, within 10 seconds."""
    return _set_blocked(keys, connection, "unblock")


def _set_blocked(keys: Sequence[str], connection: Connection, action: str) -> int:
    from vibe_cli import output

    answers = []
    with connect(connection) as api:
        found = _find_keys(api, keys)
        with output.progress_bar("keys", len(found)) as advance:
            for key in found:
                answers.append(api.post(f"/key/{action}", {"key": key}))
                advance(1)
    message = f"{output.plural(len(found), 'key')} {action}ed, everywhere within 10 seconds."
    return output.respond(connection.as_json, answers, lambda console: console.print(message))


@app.command("rotate")
@with_options(connection=Connection)
def rotate(
    key: Key,
    connection: Connection,
    grace: Annotated[
        str | None,
        typer.Option("--grace", metavar="TIME", help="How long the old secret still works, such as 1h (default: not)."),
    ] = None,
) -> int:
    """Give a key a new secret. Its alias, limits and spend stay."""
    from vibe_cli.api import quote_path

    body: dict[str, object] = {"grace_period": grace} if grace else {}
    with connect(connection) as api:
        found = find_key(api, key)
        _require_reader()
        rotated = api.post(f"/key/{quote_path(found)}/regenerate", body)
    if error := _print_secret(connection, rotated):
        raise CommandError(f"The new secret could not be shown ({error}). Rotate {rotated.get('token')} again.")
    return 0


@app.command("delete")
@with_options(connection=Connection)
def delete(
    connection: Connection,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY...]", help=_HELP)] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="All of a team, by id or alias.")] = None,
    yes: Yes = False,
) -> int:
    """Delete keys permanently. Their usage remains stored."""
    from vibe_cli import output

    if bool(keys) == bool(team):
        raise CommandError("Name the keys to delete, or give --team for all keys of a team.", status=1)
    with connect(connection) as api:
        if team:
            # A replaced key is deleted with its successor.
            found = [
                str(key["token"]) for key in _keys(api, team_id=find_team(api, team)) if not key.get("replaced_by")
            ]
        else:
            found = _find_keys(api, keys or ())
        question = f"Delete {output.plural(len(found), 'key')} permanently?"
        if found and output.for_terminal(connection.as_json) and not yes and not output.confirm(question):
            raise CommandError("Nothing was deleted.", status=1)
        deleted: list[str] = []
        with output.progress_bar("keys", len(found)) as advance:
            for batch in _batches(found):
                deleted += api.post("/key/delete", {"keys": batch}).get("deleted_keys") or []
                advance(len(batch))
    message = f"{output.plural(len(deleted), 'key')} deleted."
    return output.respond(connection.as_json, {"deleted_keys": deleted}, lambda console: console.print(message))


def _delete_unseen(api: "Api", keys: Sequence[dict[str, Any]]) -> str:
    """Delete keys whose secrets could not be shown; return a message about it."""
    from vibe_cli import output

    if not keys:
        return "All keys that were created were shown."
    ids = [str(key.get("token")) for key in keys]
    try:
        for batch in _batches(ids):
            api.post("/key/delete", {"keys": batch})
    except CommandError as error:
        return f"Delete these keys, which were created but not shown: {', '.join(ids)} ({error})"
    return f"{output.plural(len(ids), 'unseen key')} deleted again."


def find_key(api: "Api", named: str) -> str:
    """Return the id of the one key that `named` means. Raises CommandError for none, and for several."""
    found = _find_keys(api, [named])
    if len(found) != 1:
        raise CommandError("Name exactly one key.", status=1)
    return found[0]


def _find_keys(api: "Api", named: Sequence[str]) -> list[str]:
    """Return the id of each named key, once. Raises CommandError for a name without a key."""
    listed: list[dict[str, Any]] | None = None
    found: list[str] = []
    for name in named:
        if name == "-":
            found += (_key_id(line.strip()) for line in sys.stdin if line.strip())
            continue
        if name.startswith("sk-"):
            raise CommandError(
                "Other users of this machine can read keys on the command line. Use - and standard input.", status=1
            )
        if _HASH.fullmatch(name):
            found.append(name)
            continue
        if listed is None:
            listed = [key for key in _keys(api) if not key.get("replaced_by")]
        tokens = [str(key.get("token")) for key in listed if key.get("key_alias") == name]
        if not tokens and _PREFIX.fullmatch(name):
            tokens = [str(key["token"]) for key in listed if str(key.get("token")).startswith(name)]
        if len(tokens) != 1:
            why = "is the prefix of several ids" if tokens else "is not the alias or id of a key"
            raise CommandError(f"{name!r} {why}. List keys with: vibe keys list", status=1)
        found += tokens
    return list(dict.fromkeys(found))


def _key_id(key: str) -> str:
    """Return the id of a key, which is its hash; an id stays as it is."""
    from hashlib import sha256

    return sha256(key.encode()).hexdigest() if key.startswith("sk-") else key


def _with_team_id(api: "Api", fields: dict[str, object]) -> dict[str, object]:
    team = fields.get("team_id")
    return {**fields, "team_id": find_team(api, str(team))} if team else fields


def _keys(api: "Api", **query: object) -> Iterator[dict[str, Any]]:
    return api.pages("/key/list", "keys", return_full_object="true", **query)


def _batches(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + _DELETED_PER_CALL] for start in range(0, len(ids), _DELETED_PER_CALL))
