"""`agents`: configure coding agents for a router, with a key of their own, and undo that."""

import difflib
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.commands.teams import find_team
from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.fields import KeySettings, Settings
from vibe_cli.options import Yes, command_group, with_options

if TYPE_CHECKING:
    from vibe_cli.agents.clients import Client, Edit
    from vibe_cli.agents.journal import Entry, Journal
    from vibe_cli.api import Api

__all__ = ["app"]

_PLACEHOLDER = "sk-0000-the-new-key"  # in what is shown before the key exists
_SECRETS = re.compile(
    r"""(sk-[A-Za-z0-9_-]{3})[A-Za-z0-9_-]+|((?:token|key|secret|password)["']?\s*[:=]\s*["']?)[^\s"',}]+""",
    re.IGNORECASE,
)
_INK = {"+": "32", "-": "31", "@": "36"}

app = command_group("Configure Codex, Claude Code, opencode or Gemini CLI for a router, with a new key.")


def _command(name: str, title: str) -> None:
    """Add the command that configures the agent `name`."""

    @with_options(settings=KeySettings, connection=Connection)
    def configure(
        settings: Settings,
        connection: Connection,
        model: Annotated[
            str | None, typer.Option("--model", metavar="MODEL", help="The model or alias to use by default.")
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
        print_only: Annotated[
            bool,
            typer.Option("--print", help="Create a key and print the files, with the key, instead of writing them."),
        ] = False,
        undo: Annotated[
            bool,
            typer.Option("--undo", help="Restore the files as they were before the last time, and delete its key."),
        ] = False,
        yes: Yes = False,
    ) -> int:
        if undo:
            return _undo(name, connection, yes=yes)
        return _configure(name, settings, connection, model, dry_run=dry_run, print_only=print_only, yes=yes)

    configure.__doc__ = f"Configure {title} with a new key. Shows the changes, and keeps a backup for --undo."
    app.command(name)(configure)


for _name, _title in (
    ("codex", "Codex"),
    ("claude", "Claude Code"),
    ("opencode", "opencode"),
    ("gemini", "Gemini CLI"),
):
    _command(_name, _title)


def _configure(
    name: str,
    settings: Settings,
    connection: Connection,
    model: str | None,
    *,
    dry_run: bool,
    print_only: bool,
    yes: bool,
) -> int:
    from vibe_cli import output
    from vibe_cli.agents.clients import CLIENTS
    from vibe_cli.agents.journal import Journal

    client = CLIENTS[name]
    body = settings.body(removable=False)
    with connect(connection) as api:
        if team := body.get("team_id"):
            body["team_id"] = find_team(api, str(team))
        edits = _edits(client, api, body, model)
        before = {edit.path: _read(edit.path) for edit in edits}
        after = {edit.path: _apply(edit, before[edit.path]) for edit in edits}
        if not print_only:
            print(_render(edits, before, after, color=sys.stdout.isatty() and "NO_COLOR" not in os.environ), flush=True)
        if dry_run:
            print("Nothing was written (--dry-run).")
            return 0
        if not (yes or print_only or not sys.stdout.isatty() or output.confirm("Create a key and write these files?")):
            raise CommandError("Nothing was written.", status=1)
        key = _create_key(api, client, body)
        texts = {path: text.replace(_PLACEHOLDER, str(key["key"])) for path, text in after.items()}
        if print_only:
            for path, text in texts.items():
                print(f"# {path}\n{text}")
            return 0
        try:
            folder = Journal(name, os.environ).write(texts, str(key["token"]), api.url)
        except OSError as error:
            api.post("/key/delete", {"keys": [key["token"]]})
            raise CommandError(f"{error.filename}: {error.strerror}. Nothing was changed.") from error
    print(f"Written. {client.title} uses the key {key['key_alias']!r} now; start it with: {client.program}")
    print(f"The files as they were are in {folder}. To restore them: vibe agents {name} --undo")
    return 0


def _edits(client: "Client", api: "Api", body: Mapping[str, object], model: str | None) -> "list[Edit]":
    """Return the edits of `client`'s files, with a placeholder for the key. Raises CommandError."""
    from vibe_cli.agents.clients import Router
    from vibe_cli.api import quote_path
    from vibe_router.access.keys import matches_any
    from vibe_router.core.patterns import by_precedence, matches

    allowed = body.get("models")
    patterns = [str(each) for each in allowed] if isinstance(allowed, list) else []
    listed = api.get("/v1/models", client_version="0")

    def may_use(entry: Mapping[str, Any]) -> bool:
        return matches_any(patterns, str(entry.get("alias_of") or entry.get("id")))

    models = [each for each in listed.get("data") or () if may_use(each)]
    names = {str(each.get("id")) for each in models}
    if not names:
        raise CommandError(
            "The router has no model that this key could use. Check --models, and run: make routes", status=1
        )

    held = body.get("aliases")
    own: Mapping[str, str] = held if isinstance(held, dict) else {}

    def resolves(name: str) -> bool:
        pattern = next((each for each in by_precedence(own) if matches(each, name)), None)
        meant = own.get(name) or (own[pattern] if pattern else name)
        try:
            return may_use(api.get(f"/v1/models/{quote_path(meant)}"))
        except CommandError:
            return False

    if model and not resolves(model):
        raise CommandError(f"The key could not use {model!r}. There are: {', '.join(sorted(names))}", status=1)
    catalogue = {"models": [each for each in listed.get("models") or () if each.get("slug") in names]}
    return client.edits(Router(api.url, _PLACEHOLDER, models, catalogue, resolves), model, os.environ)


def _read(path: Path) -> str:
    """Return the text of a file, "" if there is none. Raises CommandError for one that cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text. Nothing was changed.", status=1) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}. Nothing was changed.", status=1) from error


def _apply(edit: "Edit", before: str) -> str:
    from vibe_cli.agents.edits import UneditableError

    try:
        return edit.apply(before)
    except UneditableError as error:
        wanted = _mask(edit.apply("")).rstrip()
        raise CommandError(
            f"{edit.path} {error}. Nothing was changed. Correct it and run this again, or add by hand, "
            f"with a key from `vibe keys create`:\n\n{wanted}",
            status=1,
        ) from None


def _create_key(api: "Api", client: "Client", body: Mapping[str, object]) -> dict[str, Any]:
    """Create the agent's key; its alias is free, unless the user chose one."""
    fields = dict(body)
    if "key_alias" not in fields:
        wanted = f"{client.program}@{socket.gethostname()}"[:200]
        taken = {str(each.get("key_alias")) for each in api.pages("/key/list", "keys", return_full_object="true")}
        numbered = (wanted if not number else f"{wanted}-{number + 1}" for number in range(len(taken) + 1))
        fields["key_alias"] = next(alias for alias in numbered if alias not in taken)
    created: dict[str, Any] = api.post("/key/generate", fields)
    return created


def _undo(name: str, connection: Connection, *, yes: bool) -> int:
    from vibe_cli import output
    from vibe_cli.agents.journal import Journal

    journal = Journal(name, os.environ)
    try:
        entry = journal.last()
    except (OSError, ValueError) as error:
        raise CommandError(f"The backup cannot be read: {error}") from error
    if entry is None:
        raise CommandError(f"There is nothing to undo: `vibe agents {name}` has written nothing.", status=1)
    changed = [file.path for file in entry.files if not file.is_unchanged]
    for file in entry.files:
        now = _read(file.path)
        print(_difference(file.path, now, file.before or "", color=sys.stdout.isatty()), flush=True)
    for path in changed:
        print(f"{path} was changed since; that version is kept as {path.name}.before-undo.")
    if not (yes or not sys.stdout.isatty() or output.confirm("Restore these files?")):
        raise CommandError("Nothing was changed.", status=1)
    _restore(journal, entry)
    print(f"Restored: {', '.join(str(file.path) for file in entry.files)}")
    try:
        with connect(connection) as api:
            if api.url != entry.router:
                raise CommandError(f"this is not {entry.router}")
            api.post("/key/delete", {"keys": [entry.key]})
    except CommandError as error:
        print(f"The key could not be deleted ({error}). Delete it with: vibe keys delete {entry.key}", file=sys.stderr)
    else:
        print("Its key was deleted.")
    return 0


def _restore(journal: "Journal", entry: "Entry") -> None:
    try:
        journal.undo(entry)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}. The backup is in {entry.folder}.") from error


def _render(edits: "Sequence[Edit]", before: Mapping[Path, str], after: Mapping[Path, str], *, color: bool) -> str:
    parts = []
    for edit in edits:
        if edit.summary:
            parts.append(f"{'~' if before[edit.path] else '+'} {edit.path}: {edit.summary}")
        else:
            parts.append(_difference(edit.path, before[edit.path], after[edit.path], color=color))
    return "\n".join(parts)


def _difference(path: Path, before: str, after: str, *, color: bool) -> str:
    """Return a unified difference, without secrets."""
    if before == after:
        return f"{path}: no change"
    lines = list(
        difflib.unified_diff(
            _mask(before).splitlines(),
            _mask(after).splitlines(),
            str(path) if before else "/dev/null",
            str(path),
            lineterm="",
        )
    )
    if not lines:
        return f"{path}: only a key changes"
    shown = [
        "".join(each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in line)
        for line in lines
    ]
    return "\n".join(f"\x1b[{_INK[line[0]]}m{line}\x1b[0m" if color and line[:1] in _INK else line for line in shown)


def _mask(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found[1]}…" if found[1] else f"{found[2]}…", text)
