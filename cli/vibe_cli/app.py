"""The command line `vibe`: one module per command, each importing what it needs when it runs.

Exit statuses:

    0    done, or nothing to do
    1    rejected: the input is wrong, or the confirmation was declined
    2    could not: wrong usage, missing credentials, a table or service that cannot be reached
    130  interrupted
"""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
import typer.main
from typer.core import TyperGroup

from vibe_cli.commands import (
    agents,
    alerts,
    complexity,
    cooldowns,
    deploy,
    explain,
    health,
    import_litellm,
    keys,
    logs,
    prices,
    requests,
    routes,
    smoke,
    spend,
    start,
    status,
    teams,
    usage,
)
from vibe_cli.errors import CommandError, exit_on_closed_pipe

__all__ = ["build_command", "main", "run"]


@cache
def build_command() -> TyperGroup:
    """Return the command line with all its commands, which are built once: it takes 70 ms."""
    app = typer.Typer(help="Operate a Vibe Router: the local one, or one deployed to AWS.", rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_print_version_or_help)
    app.add_typer(agents.app, name="agents")
    app.add_typer(alerts.app, name="alerts")
    app.add_typer(complexity.app, name="complexity")
    app.add_typer(cooldowns.app, name="cooldowns")
    app.add_typer(keys.app, name="keys")
    app.add_typer(requests.app, name="requests")
    app.add_typer(teams.app, name="teams")
    app.add_typer(usage.app, name="usage")
    app.command("deploy")(deploy.deploy)
    app.command("explain")(explain.explain)
    app.command("health")(health.show_health)
    app.command("import-litellm")(import_litellm.import_litellm)
    app.command("logs")(logs.show_logs)
    app.command("prices")(prices.fill_prices)
    app.command("routes")(routes.write_routes)
    app.command("smoke")(smoke.smoke_test)
    app.command("spend")(spend.show_spend)
    app.command("start", add_help_option=False, context_settings=start.PASS_ARGUMENTS)(start.start)
    app.command("status")(status.show_status)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - for the type checker
    group.commands = dict(sorted(group.commands.items()))
    _complete_short_help(group)
    return group


def _print_version_or_help(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(metadata.version("vibe-router"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _complete_short_help(group: TyperGroup) -> None:
    """List commands with the whole first line of their help, which Typer cuts at 45 characters."""
    for command in group.commands.values():
        command.short_help = (command.help or "").partition("\n")[0].rstrip(".")
        if isinstance(command, TyperGroup):
            _complete_short_help(command)


def _program() -> str:
    """Return the name by which `vibe` can be called: its path, unless the shell finds it by its name.

    Shells complete by the last part of a path, so completion always uses the name.
    """
    called, found = Path(sys.argv[0]), shutil.which("vibe")
    is_completion = "_VIBE_COMPLETE" in os.environ or any(each.endswith("-completion") for each in sys.argv)
    if is_completion or called.name != "vibe" or (found and Path(found).samefile(called)):
        return "vibe"
    with suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names (this process's arguments if None); return its exit status."""
    try:
        return int(build_command().main(argv, prog_name=_program(), standalone_mode=False) or 0)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f"\nHelp: {context.command_path} --help" if context else ""
        print(f"{error.format_message()}{hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run() -> int:
    """Run `vibe` as a process; return its exit status."""
    return exit_on_closed_pipe(main)
