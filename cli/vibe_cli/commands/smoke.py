"""Call every virtual model of a deployed router, streamed and not, and say who served and how fast.

    python -m vibe_cli.commands.smoke                                       the router that `make start` runs
    KEY=… python -m vibe_cli.commands.smoke --url https://…/prod/v1         any other
    python -m vibe_cli.commands.smoke --url … --key-env NAME --models auto-chat,auto-codex

The key comes from the environment, so that it is in no list of processes: VIBE_ROUTER_KEY, KEY, MASTER_KEY, or the
variable that --key-env names; for a router on this machine, whatever `make start` takes. A table on a terminal, JSON in
a pipe, progress on standard error. The exit status is 0 when every call was answered whole, 1 when one was not, 2 when
there was nothing to call.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import httpx

from vibe_cli.chat_client import KEY_NAMES, NoKeyError, Router, find_key, local_url
from vibe_cli.errors import while_read
from vibe_cli.ink import Ink, clean, milliseconds, progress, table

__all__ = ["Call", "add_where", "main", "smoke", "where"]

_AT_ONCE = 4  # calls; more would measure how they wait for each other


@dataclass(frozen=True)
class Call:
    """How one call went. Times are in milliseconds; a whole answer has no `first_token_ms`. `why` is "" when ok."""

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


def smoke(router: Router, models: Sequence[str]) -> Iterator[Call]:
    """Call each of `models` streamed and whole; yields in that order, as calls end."""
    calls = [(model, stream) for model in models for stream in (True, False)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda call: _call(router, *call), calls)


def _call(router: Router, model: str, stream: bool) -> Call:
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


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which router is meant, and with which key."""
    parser.add_argument("--url", help="its base URL (VIBE_ROUTER_URL, URL, or the one that `make start` runs)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--key", help="the key; others on this machine can see it here: rather use the environment")
    key.add_argument("--key-env", metavar="NAME", help=f"the variable with the key (else {', '.join(KEY_NAMES)})")


def where(args: argparse.Namespace) -> tuple[str, str]:
    """Return URL and key as `args` and the environment have them. Raises NoKeyError."""
    url: str = args.url or os.environ.get("VIBE_ROUTER_URL") or os.environ.get("URL") or local_url()
    return url, args.key or find_key(url, args.key_env)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="smoke", description=summary, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_where(parser)
    parser.add_argument("--models", help="only these, with commas between them")
    parser.add_argument("--json", action="store_true", help="JSON on a terminal too")
    args = parser.parse_args(argv)
    try:
        url, key = where(args)
        with Router(url, key) as router:
            models = args.models.split(",") if args.models else router.models()
            if not models:
                raise ValueError("There are no models to call: load them with `make routes`.")
            progress(f"{router.url}: {len(models)} model{'s' * (len(models) != 1)}, streamed and not")
            calls = []
            for call in smoke(router, models):
                calls.append(call)
                progress(f"  {len(calls)}/{2 * len(models)}  {call.model}{'' if call.ok else ': ' + call.why}")
    except (NoKeyError, ValueError) as error:
        progress(str(error))
        return 2
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        progress(f"{url} can't be reached ({type(error).__name__}: {error}). Is the URL right, and the router up?")
        return 2
    except KeyboardInterrupt:
        return 130
    failed = sum(not call.ok for call in calls)
    if args.json or not sys.stdout.isatty():
        print(json.dumps({"url": router.url, "failed": failed, "calls": list(map(asdict, calls))}, indent=2))
    else:
        print(_table(calls), end="")
        print(f"{failed} of {len(calls)} calls failed." if failed else f"All {len(calls)} calls were answered whole.")
    return 1 if failed else 0


def _table(calls: Sequence[Call]) -> str:
    rows = [
        (
            call.model,
            "streamed" if call.stream else "whole",
            clean(call.deployment or "–"),
            milliseconds(call.first_token_ms),
            milliseconds(call.total_ms),
            "–" if call.completion_tokens is None else f"{call.prompt_tokens or 0} + {call.completion_tokens}",
            call.why or "ok",
        )
        for call in calls
    ]
    head = ("model", "answer", "deployment", "first token", "total", "tokens", "result")
    return "\n" + table(head, rows, [None if call.ok else "bad" for call in calls], Ink(sys.stdout))


if __name__ == "__main__":
    sys.exit(while_read(main))
