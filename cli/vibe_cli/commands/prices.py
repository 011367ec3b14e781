"""`prices`: fill the prices of routes.yaml from a price library."""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.errors import CommandError
from vibe_cli.target import read_environ

if TYPE_CHECKING:
    from rich.text import Text

    from vibe_cli.price_filling import Filling

__all__ = ["add_to"]


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser(
        "prices",
        help="fill the prices of routes.yaml from the genai-prices library",
        description="Fill the prices of routes.yaml from the genai-prices library: dollars per million tokens, of the "
        "provider whose API a deployment is at, else of whoever makes the model. A price that was set by hand stays. "
        "`routes` then brings the file to the table.",
    )
    command.add_argument("--file", type=Path, help="the routes file (ROUTES_FILE, or routes.yaml)")
    command.add_argument("--dry-run", action="store_true", help="only show what would change")
    command.add_argument("--yes", action="store_true", help="write without asking")
    command.add_argument("--json", action="store_true", help="JSON also on a terminal")
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli import show
    from vibe_cli.price_filling import fill
    from vibe_cli.routes_file import RoutesFileError, load_file

    environ = read_environ()
    file = args.file or Path(environ.get("ROUTES_FILE", "routes.yaml"))
    try:
        spec = load_file(file, environ)
    except RoutesFileError as error:
        raise CommandError(f"{error}\nNothing was written.", status=1) from error
    filling = fill(file.read_text(encoding="utf-8"), spec, datetime.now(UTC))
    people = show.for_people(args.json)
    if people:
        _show(filling, file)
    writes = bool(filling.filled) and not args.dry_run
    if writes and not args.yes and people and not show.agrees("Write this?"):
        raise CommandError("Nothing was written.", status=1)
    if writes:
        _write(file, filling, environ)
    if people:
        if writes:
            sys.stdout.write("Written. `make routes` brings it to the table.\n")
        elif filling.filled:
            sys.stdout.write("Nothing was written (--dry-run).\n")
    else:
        told = [
            {"place": each.path, "deployment": each.deployment, "from": each.before, "to": each.after}
            for each in filling.filled
        ]
        show.print_json({"file": str(file), "changes": told, "unknown": filling.unknown, "written": writes})
    return 0


def _show(filling: "Filling", file: Path) -> None:
    from vibe_cli import show

    if not filling.filled:
        sys.stdout.write(f"{file}: every price that the library knows stands already.\n")
    else:
        rows: list[list[str | Text]] = [
            [
                show.clean(each.path),
                show.clean(each.deployment),
                show.styled("+" if each.before is None else "~", "green" if each.before is None else "yellow"),
                _told(each.before) + (" → " if each.before else "") + _told(each.after),
            ]
            for each in filling.filled
        ]
        show.console().print(show.table(("place", "deployment", "", "$ per million tokens"), rows))
    if filling.unknown:
        names = ", ".join(map(show.clean, filling.unknown))
        sys.stdout.write(f"Unknown to the library, and without a price: {names}. What they cost is shown as unknown.\n")


def _told(price: Mapping[str, float | str] | None) -> str:
    if price is None:
        return ""
    return ", ".join(f"{name} {value:g}" for name, value in price.items() if isinstance(value, int | float))


def _write(file: Path, filling: "Filling", environ: Mapping[str, str]) -> None:
    """Write the file, once it is sure that it reads as before but for the prices."""
    from vibe_cli.routes_file import RoutesFileError, load_file

    beside = file.with_name(f"{file.name}.new")
    try:
        beside.write_text(filling.text, encoding="utf-8")
        after = load_file(beside, environ)
        before = load_file(file, environ)
        if _unpriced(after.model_dump()) != _unpriced(before.model_dump()):
            raise CommandError(f"{file} is written in a way that this command can't add prices to.", status=1)
        beside.replace(file)
    except RoutesFileError as error:
        raise CommandError(f"{file} is written in a way that this command can't add prices to.", status=1) from error
    except OSError as error:
        raise CommandError(f"{file} can't be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _unpriced(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _unpriced(each) for name, each in value.items() if name != "price"}
    return [_unpriced(each) for each in value] if isinstance(value, list | tuple) else value
