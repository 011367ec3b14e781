"""`complexity`: score requests, and train and evaluate models of complexity."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from vibe_cli.errors import CommandError
from vibe_cli.options import Json, command_group

if TYPE_CHECKING:
    from vibe_router.routing.complexity.scorer import Scorer
    from vibe_router.routing.complexity.trees import Model

__all__ = ["app"]

_MAX_LINE = 32 * 2**20  # characters of one request

ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="A trained model (default: the shipped one).")
]
Folder = Annotated[
    Path, typer.Option("--outcomes", metavar="FOLDER", help="Measured outcomes: outcomes.jsonl.gz, neither.jsonl.gz.")
]

app = command_group("Route requests by complexity: score, train, evaluate.")


@app.command("score")
def score(
    file: Annotated[
        str, typer.Option("--input", metavar="FILE", help='Lines of {"id", "messages"} (- is standard input).')
    ] = "-",
    model: ModelFile = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Print each score's reasons too.")] = False,
) -> int:
    """Score conversations: print a line of JSON with a score and a decision for each line of the input.

    The decision is what the threshold of the model says: "mini" or "standard". A conversation without a user's text is
    for "standard", since nothing says that it is easy.
    """
    from vibe_router.routing.complexity.scorer import Scorer

    scorer = Scorer(_model(model))
    failed = 0
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            answer = _score_line(scorer, line, with_reasons=reasons)
        except ValueError as error:
            print(f"Line {number}: {error}", file=sys.stderr)
            failed += 1
            continue
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return 1 if failed else 0


def _score_line(scorer: "Scorer", line: str, *, with_reasons: bool) -> dict[str, Any]:
    """Return the answer to one line. Raises ValueError."""
    from vibe_router.routing.complexity.reading import user_turns

    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(read, dict) or not isinstance(read.get("messages"), list):
        raise ValueError('not an object with "id" and "messages"')
    found = scorer.score(user_turns(read["messages"]).turns)
    value = found.value if found else 1.0
    answer = {
        "id": read.get("id"),
        "score": value,
        "decision": "mini" if value < scorer.model.threshold else "standard",
    }
    if with_reasons:
        answer["reasons"] = dict(found.reasons) if found else {"no text of a user": 1.0}
    return answer


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        yield from _bounded(sys.stdin)
        return
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as opened:
            yield from _bounded(opened)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", status=1) from error


def _bounded(opened: TextIO) -> Iterator[str]:
    while line := opened.readline(_MAX_LINE):
        yield line


def _model(file: Path | None) -> "Model":
    from vibe_router.routing.complexity.scorer import seed
    from vibe_router.routing.complexity.trees import load

    if file is None:
        return seed()
    try:
        return load(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", status=1) from error
    except ValueError as error:
        raise CommandError(f"{file} is not a model: {error}", status=1) from error


@app.command("evaluate")
def evaluate(outcomes: Folder, as_json: Json = False) -> int:
    """Compare ways of scoring on measured outcomes, by grouped cross-validation. Takes minutes.

    Every method is measured at the threshold that sends the same share to mini. Intervals (95 %) are by bootstrap, and
    a difference from the trees that they do not show is marked.
    """
    from vibe_cli import output
    from vibe_cli.complexity.evaluation import MEASURES, scores_of_methods, table

    read = _read_outcomes(outcomes)
    compared = table(read, scores_of_methods(read))
    answer = {
        name: {key: [each.value, each.low, each.high, each.differs] for key, each in measures.items()}
        for name, measures in compared.items()
    }
    first = next(iter(compared))
    rows = [
        [
            name,
            *(
                f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]{_mark(name == first, each)}"
                for each in found.values()
            ),
        ]
        for name, found in compared.items()
    ]

    def render(console: Any) -> None:
        console.print(output.table(["method", *MEASURES.values()], rows))
        console.print("≈ does not differ significantly from the trees and guard.")

    return output.respond(as_json, answer, render)


def _mark(is_first: bool, estimate: Any) -> str:
    return "" if is_first or estimate.differs else " ≈"


def _read_outcomes(folder: Path) -> Any:
    from vibe_cli.complexity.outcomes import read_folder

    try:
        return read_folder(folder)
    except OSError as error:
        raise CommandError(f"{folder} cannot be read: {error.strerror}", status=1) from error
    except (KeyError, ValueError) as error:
        raise CommandError(f"{folder} has no outcomes: {error}", status=1) from error
