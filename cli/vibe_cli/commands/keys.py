"""`keys`: make, list, change, block, rotate and delete virtual keys."""

import argparse
import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vibe_cli.commands.teams import team_aliases, team_id
from vibe_cli.connect import add_connection, connected
from vibe_cli.errors import CommandError, is_read, let_go
from vibe_cli.fields import KEY, add_actions, add_fields, read_many, said

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api

__all__ = ["add_to", "key_named"]

_AT_ONCE = 4  # calls that make keys
_IN_ONE_CALL = 50  # keys that are deleted
_WHICH = "its alias, its id or the beginning of that; - reads keys themselves from standard input, one a line"
_HASH = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile(r"[0-9a-f]{6,63}")
_SHOWN_ID = 12  # characters of an id in a table: enough to tell keys apart


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("keys", help="make, list, change, block, rotate and delete virtual keys")
    actions = command.add_subparsers(metavar="ACTION", required=True)

    create = actions.add_parser("create", help="make a key, or many from a file; each is shown this once")
    add_fields(create, KEY, removable=False)
    create.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        help="make one for each row of a .csv, or line of JSON objects (- is standard input); options hold for all",
    )
    create.set_defaults(run=_create)

    listing = actions.add_parser("list", help="list keys with what they may do and have spent")
    listing.add_argument("--team", help="only those of a team, by id or alias")
    listing.set_defaults(run=_list)

    add_actions(actions, "key", _WHICH, KEY, {"show": _show, "update": _update})

    for word, text in (("block", "make keys useless until they are unblocked"), ("unblock", "make them work again")):
        action = actions.add_parser(word, help=f"{text}, within 10 seconds")
        action.add_argument("key", nargs="+", help=_WHICH)
        action.set_defaults(run=_block, word=word)

    rotate = actions.add_parser("rotate", help="give a key a new secret; its name, limits and spending stay")
    rotate.add_argument("key", help=_WHICH)
    rotate.add_argument("--grace", metavar="TIME", help="how long the old one still works, such as 1h (not at all)")
    rotate.set_defaults(run=_rotate)

    delete = actions.add_parser("delete", help="delete keys for good; their usage stays on record")
    delete.add_argument("key", nargs="*", help=_WHICH)
    delete.add_argument("--team", help="every key of a team, by id or alias")
    delete.add_argument("--yes", action="store_true", help="without asking")
    delete.set_defaults(run=_delete)

    for action in actions.choices.values():
        add_connection(action)


def _create(args: argparse.Namespace) -> int:
    from vibe_cli import show

    fields = said(args)
    rows = read_many(args.file, KEY) if args.file else [{}]
    with connected(args) as api:
        bodies = [_with_team_id(api, {**fields, **row}) for row in rows]
        _check_read()
        if args.file:
            return _create_many(api, bodies, people=show.for_people(args.json))
        made = api.post("/key/generate", bodies[0])
        if error := _shown(args, made):
            raise CommandError(f"The key could not be shown ({error}). {_taken_back(api, [made])}")
    return 0


def _create_many(api: "Api", bodies: Sequence[dict[str, object]], *, people: bool) -> int:
    """Make a key for each body, and return the exit status. Every key that was made is shown, whatever comes after.

    When nobody reads them any more, no more are made, and those that nobody saw are deleted: raises CommandError.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    from vibe_cli import show

    lines: list[str] = []
    status = 0
    unread: OSError | None = None
    unseen: list[dict[str, Any]] = []  # the keys that were made after that

    def tell(body: dict[str, object], told: dict[str, Any]) -> None:
        nonlocal unread
        if people:  # at the end: the bar has the terminal
            shown = told.get("key") or show.clean(told.get("error"))
            lines.append(f"{show.clean(body.get('key_alias') or '')}\t{shown}\n")
            return
        if unread is None:
            try:
                sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            except OSError as error:
                unread = error
                let_go()
        if unread is not None and "key" in told:
            unseen.append(told)

    def goes_on() -> bool:
        # A router that can't be asked won't be for the others, and who has closed a pipe opens it no more.
        return status < 2 and unread is None and is_read()

    def settle(body: dict[str, object], made: "Future[Any]") -> None:
        nonlocal status
        try:
            tell(body, made.result())
        except CommandError as error:
            status = max(status, error.status)
            tell(body, {"key_alias": body.get("key_alias"), "error": str(error)})

    started: deque[tuple[dict[str, object], Future[Any]]] = deque()
    waiting = deque(bodies)
    try:
        with show.progress("keys", len(bodies)) as advance, ThreadPoolExecutor(_AT_ONCE) as pool:
            while started or (waiting and goes_on()):
                while waiting and len(started) < _AT_ONCE and goes_on():
                    body = waiting.popleft()
                    started.append((body, pool.submit(api.post, "/key/generate", body)))
                settle(*started[0])
                started.popleft()
                advance()
    finally:
        for body, made in started:
            settle(body, made)
        for body in waiting:
            tell(body, {"key_alias": body.get("key_alias"), "error": "not tried any more"})
        sys.stdout.write("".join(lines))
    if unread is not None:
        left = show.count(len(waiting), "key")
        raise CommandError(f"Not all could be shown ({unread}). {_taken_back(api, unseen)} {left} not tried any more.")
    return status


def _check_read() -> None:
    """Raise CommandError where nobody reads what is shown only once: nothing is made for nobody."""
    if not is_read():
        let_go()
        raise CommandError("Nobody reads standard output, where a key would be shown once. Nothing was done.")


def _shown(args: argparse.Namespace, made: dict[str, Any]) -> OSError | None:
    """Show a key; returns what came between."""
    from vibe_cli import show

    try:
        show.tell(args.json, made, lambda out: _tell_key(out, made))
        sys.stdout.flush()
    except OSError as error:
        let_go()
        return error
    return None


def _taken_back(api: "Api", unseen: Sequence[dict[str, Any]]) -> str:
    """Delete keys that were made and that nobody can ever see; returns what became of them."""
    from vibe_cli import show

    if not unseen:
        return "All that were made were shown."
    ids = [str(made.get("token")) for made in unseen]
    try:
        for start in range(0, len(ids), _IN_ONE_CALL):
            api.post("/key/delete", {"keys": ids[start : start + _IN_ONE_CALL]})
    except CommandError as error:
        return f"Delete what was made and nobody saw: {', '.join(ids)} ({error})"
    return f"{show.count(len(ids), 'key')} that nobody saw deleted again."


def _tell_key(out: "Console", made: dict[str, Any]) -> None:
    from vibe_cli import show

    out.print(str(made.get("key")), style="bold green", soft_wrap=True)
    out.print("This is the only time that it is shown.")
    out.print(show.pairs(_facts(made)))


def _list(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        of_team = team_id(api, args.team) if args.team else None
        keys = list(_keys(api, team_id=of_team))
        if not show.for_people(args.json):
            show.print_json(keys)
            return 0
        aliases = team_aliases(api) if any(key.get("team_id") for key in keys) else {}
    rows = [_row(key, aliases) for key in keys]
    head = ("alias", "key", "id", "team", "models", "spent", "budget", "limits", "expires", "")
    show.console().print(show.table(head, rows, numbers=("spent", "budget")) if rows else "There are no keys yet.")
    return 0


def _row(key: dict[str, Any], teams: Mapping[str, str]) -> list[Any]:
    from vibe_cli import show

    return [
        show.clean(key.get("key_alias") or "–"),
        show.clean(key.get("key_name") or "–"),
        show.clean(key.get("token") or "–")[:_SHOWN_ID],
        show.clean(teams.get(str(key.get("team_id"))) or key.get("team_id") or "–"),
        show.models(key.get("models")),
        show.dollars(key.get("spend")),
        show.budget(key),
        show.limits(key),
        show.moment(key.get("expires")),
        show.styled(*_state(key)),
    ]


def _state(key: dict[str, Any]) -> tuple[str, str]:
    """Return what keeps a key from working, or soon will, with its colour."""
    from vibe_cli import show

    if key.get("blocked"):
        return "blocked", "red"
    if key.get("expires") and show.until(key["expires"], None) == "over":
        return "expired", "red"
    return ("replaced", "yellow") if key.get("replaced_by") else ("", "")


def _facts(key: dict[str, Any]) -> dict[str, Any]:
    """Return what a person wants to know of a key, in order."""
    from vibe_cli import show

    return {
        "alias": key.get("key_alias"),
        "key": key.get("key_name"),
        "id": key.get("token"),
        "team": key.get("team_id"),
        "owner": key.get("user_id"),
        "models": show.models(key.get("models")),
        "spent": show.dollars(key["spend"]) if key.get("spend") is not None else None,
        "budget": show.budget(key),
        "budget begins anew": show.moment(key.get("budget_reset_at")),
        "limits": show.limits(key),
        "tags": ", ".join(map(str, key.get("tags") or ())),
        "metadata": json.dumps(key["metadata"], ensure_ascii=False) if key.get("metadata") else None,
        "expires": show.moment(key.get("expires")),
        "made": show.moment(key.get("created_at")),
        "blocked": "yes" if key.get("blocked") else None,
    }


def _show(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        answer = api.get("/key/info", key=key_named(api, args.key))
        info = {"token": answer.get("key"), **(answer.get("info") or {})}
        if info.get("team_id") and show.for_people(args.json):
            info["team_id"] = team_aliases(api).get(info["team_id"], info["team_id"])
    return show.tell(args.json, answer, lambda out: out.print(show.pairs(_facts(info))))


def _update(args: argparse.Namespace) -> int:
    from vibe_cli import show

    fields = said(args)
    if not fields:
        raise CommandError("What should change? Name at least one setting, such as --budget 10", status=1)
    with connected(args) as api:
        answer = api.post("/key/update", {"key": key_named(api, args.key), **_with_team_id(api, fields)})
    return show.tell(args.json, answer, lambda out: out.print("Changed; true everywhere within 10 seconds."))


def _block(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        found = list(_which(api, args.key))
        with show.progress("keys", len(found)) as advance:
            answers = []
            for key in found:
                answers.append(api.post(f"/key/{args.word}", {"key": key}))
                advance()
    told = f"{show.count(len(found), 'key')} {args.word}ed; true everywhere within 10 seconds."
    return show.tell(args.json, answers, lambda out: out.print(told))


def _rotate(args: argparse.Namespace) -> int:
    from vibe_cli.api import part_of_path

    body: dict[str, object] = {"grace_period": args.grace} if args.grace else {}
    with connected(args) as api:
        named = key_named(api, args.key)
        _check_read()
        made = api.post(f"/key/{part_of_path(named)}/regenerate", body)
    if error := _shown(args, made):
        raise CommandError(f"The new secret could not be shown ({error}). Rotate {made.get('token')} once more.")
    return 0


def _delete(args: argparse.Namespace) -> int:
    from vibe_cli import show

    if bool(args.key) == bool(args.team):
        raise CommandError("Which keys? Name some, or all of a team with --team.", status=1)
    people = show.for_people(args.json)
    with connected(args) as api:
        if args.team:
            keys = _keys(api, team_id=team_id(api, args.team))
            found = [str(key["token"]) for key in keys if not key.get("replaced_by")]  # which go with their successors
        else:
            found = list(_which(api, args.key))
        question = f"Delete {show.count(len(found), 'key')}? They can't be brought back."
        if found and people and not args.yes and not show.agrees(question):
            raise CommandError("Nothing was deleted.", status=1)
        deleted: list[str] = []
        with show.progress("keys", len(found)) as advance:
            for start in range(0, len(found), _IN_ONE_CALL):
                some = found[start : start + _IN_ONE_CALL]
                deleted += api.post("/key/delete", {"keys": some}).get("deleted_keys") or []
                advance(len(some))
    told = f"{show.count(len(deleted), 'key')} deleted."
    return show.tell(args.json, {"deleted_keys": deleted}, lambda out: out.print(told))


def _with_team_id(api: "Api", fields: dict[str, object]) -> dict[str, object]:
    named = fields.get("team_id")
    return {**fields, "team_id": team_id(api, str(named))} if named else fields


def _keys(api: "Api", **query: object) -> Iterator[dict[str, Any]]:
    return api.pages("/key/list", "keys", return_full_object="true", **query)


def key_named(api: "Api", named: str) -> str:
    """Return the id of the one key that is named. Raises CommandError for none, or several."""
    found = list(_which(api, [named]))
    if len(found) != 1:
        raise CommandError("Name one key.", status=1)
    return found[0]


def _which(api: "Api", named: Sequence[str]) -> Iterator[str]:
    """Yield the id of each key that is named. Raises CommandError, before the first, for what names no key."""
    listed: list[dict[str, Any]] | None = None
    found: list[str] = []
    for name in named:
        if name == "-":
            found += (_hashed(line.strip()) for line in sys.stdin if line.strip())
            continue
        if name.startswith("sk-"):
            raise CommandError(
                "A key on the command line can be seen by others here. Give - and the key on standard input.", 1
            )
        if _HASH.fullmatch(name):
            found.append(name)
            continue
        if listed is None:
            listed = [key for key in _keys(api) if not key.get("replaced_by")]
        tokens = [str(key.get("token")) for key in listed if key.get("key_alias") == name]
        if not tokens and _BEGINNING.fullmatch(name):
            tokens = [str(key["token"]) for key in listed if str(key.get("token")).startswith(name)]
        if len(tokens) != 1:
            why = "is the beginning of several ids" if tokens else "is no key's alias and no id"
            raise CommandError(f"{name!r} {why}. `keys list` shows them.", status=1)
        found += tokens
    yield from dict.fromkeys(found)


def _hashed(key: str) -> str:
    """Return the id of a key as it is kept: its hash; an id stays what it is."""
    from hashlib import sha256

    return sha256(key.encode()).hexdigest() if key.startswith("sk-") else key
