"""Groups of options that several commands share, each declared once as a dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

__all__ = ["Json", "Yes", "command_group", "with_options"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on a terminal too.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def command_group(help_text: str) -> typer.Typer:
    """Return a group of commands, which prints its help if it is called without one."""
    group = typer.Typer(help=help_text, rich_markup_mode=None)

    @group.callback(invoke_without_command=True)
    def print_help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return group


def with_options(**groups: type[Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of `groups`, dataclasses whose fields are Typer's annotated parameters.

    The command gets an instance of each, under its keyword.
    """

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
            if name not in groups
        ]
        shared = [parameter for group in groups.values() for parameter in _parameters(group)]

        @wraps(function)
        def command(**values: Any) -> int:
            built = {
                name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()
            }
            return function(**values, **built)

        signature = inspect.Signature([*own, *shared], return_annotation=int)
        command.__signature__ = signature  # type: ignore[attr-defined] # where Typer looks for it
        command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        return command

    return decorate


def _parameters(group: type[Any]) -> list[inspect.Parameter]:
    assert is_dataclass(group)  # noqa: S101 - for the type checker
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
