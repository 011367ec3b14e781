"""`smoke`: call every virtual model of a router, streamed and whole."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from vibe_cli.errors import CommandError
from vibe_cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.chat_client import ChatClient

__all__ = ["Call", "call_models", "smoke_test"]

_PARALLEL_CALLS = 4  # more would measure how the calls wait for each other


@dataclass(frozen=True)
class Call:
    """The result of one call. Times are in milliseconds; only streams have a `first_token_ms`. `why` is "" if `ok`."""

    model: str
    stream: bool
    deployment: str | None
    first_token_ms: float | None
    total_ms: float
    prompt_tokens: int | None
    completion_tokens: int | None
    request_id: str | None
    ok: bool
    why: str


def call_models(router: "ChatClient", models: Sequence[str]) -> Iterator[Call]:
    """Call each of `models` streamed and whole; yield the results in that order."""
    from concurrent.futures import ThreadPoolExecutor

    calls = [(model, stream) for model in models for stream in (True, False)]
    with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
        yield from pool.map(lambda call: _call(router, *call), calls)


def _call(router: "ChatClient", model: str, stream: bool) -> Call:
    from vibe_cli.output import clean

    answer = router.chat(model, stream=stream)
    return Call(
        model=model,
        stream=stream,
        deployment=answer.deployment,
        first_token_ms=answer.first_token_ms,
        total_ms=answer.total_ms,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        request_id=answer.headers.get("x-vibe-request-id"),
        ok=not answer.why,
        why=clean(answer.why),
    )


def smoke_test(
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="URL", help="The router's URL (default: VIBE_ROUTER_URL, URL, or the local stack's)."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="A key. Other users can see it here: prefer the environment."),
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env",
            metavar="VARIABLE",
            help="The variable with a key (default: VIBE_ROUTER_KEY, KEY, MASTER_KEY, LITELLM_MASTER_KEY).",
        ),
    ] = None,
    models: Annotated[
        str | None, typer.Option("--models", metavar="NAMES", help="Only these models, separated by commas.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Call every virtual model of a router, streamed and whole.

    Exits with 0 if every call got a complete answer, with 1 if one did not, with 2 if there was nothing to call.
    """
    import httpx

    from vibe_cli.chat_client import ChatClient, choose_router
    from vibe_cli.output import note, plural, respond

    if key and key_env:
        raise CommandError("--key and --key-env exclude each other.")
    url, key = choose_router(url, key, key_env)
    calls: list[Call] = []
    try:
        with ChatClient(url, key) as router:
            names = models.split(",") if models else router.models()
            if not names:
                raise CommandError("There are no models to call. Load them with: vibe routes")
            note(f"{router.url}: {plural(len(names), 'model')}, streamed and whole")
            for call in call_models(router, names):
                calls.append(call)
                note(f"  {len(calls)}/{2 * len(names)}  {call.model}{'' if call.ok else ': ' + call.why}")
    except ValueError as error:
        raise CommandError(str(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"{url} cannot be reached ({type(error).__name__}: {error}). Check the URL.") from error
    failed = sum(not call.ok for call in calls)
    answer = {"url": router.url, "failed": failed, "calls": list(map(asdict, calls))}
    respond(as_json, answer, lambda console: _render(console, calls, failed))
    return 1 if failed else 0


def _render(console: "Console", calls: Sequence[Call], failed: int) -> None:
    from vibe_cli import output

    rows = [
        [
            output.clean(call.model),
            "streamed" if call.stream else "whole",
            output.clean(call.deployment or "–"),
            output.milliseconds(call.first_token_ms),
            output.milliseconds(call.total_ms),
            "–" if call.completion_tokens is None else f"{call.prompt_tokens or 0} + {call.completion_tokens}",
            "ok" if call.ok else output.styled(call.why, "red"),
        ]
        for call in calls
    ]
    head = ("model", "answer", "deployment", "first token", "total", "tokens", "result")
    console.print(output.table(head, rows, numbers=("first token", "total", "tokens")))
    console.print(f"{failed} of {len(calls)} calls failed." if failed else f"All {len(calls)} calls succeeded.")
