"""`complexity`: score requests, follow a rollout, and train and evaluate models of complexity."""

import json
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import Json, Yes, command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api
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

app = command_group("Route requests by complexity: score, report, roll out, train, evaluate.")


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
        sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if failed else 0


def _score_line(scorer: "Scorer", line: str, *, with_reasons: bool) -> dict[str, Any]:
    """Return the answer to one line. Raises ValueError."""
    from vibe_router.routing.complexity.reading import user_turns

    read = _parse(line)
    if not isinstance(read, dict) or not isinstance(read.get("messages"), list):
        raise ValueError('not an object with "id" and a list of "messages"')
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


def _parse(line: str) -> Any:
    """Return the JSON of a line. Raises ValueError."""
    if len(line) >= _MAX_LINE:
        raise ValueError(f"longer than {_MAX_LINE:,} characters")
    try:
        return json.loads(line, parse_constant=_reject)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _reject(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        yield from _bounded(sys.stdin)
        return
    try:
        with Path(file).open(encoding="utf-8-sig", errors="replace") as opened:
            yield from _bounded(opened)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", status=1) from error


def _bounded(opened: TextIO) -> Iterator[str]:
    """Yield lines; of one that is too long only the beginning."""
    while line := opened.readline(_MAX_LINE):
        rest = line
        while len(rest) == _MAX_LINE and not rest.endswith("\n"):
            rest = opened.readline(_MAX_LINE)
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
        console.print("≈ does not differ significantly from the trees and words.")

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


RoutedModel = Annotated[str, typer.Argument(metavar="MODEL", help="A model that is routed by complexity.")]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, max=90, help="Days of evidence.")]


@app.command("report")
@with_options(connection=Connection)
def report(connection: Connection, model: RoutedModel = "auto", days: Days = 30) -> int:
    """Report on a routed model: its stage, its gates with their intervals, and how many labels are missing."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get("/complexity/report", model=model, days=days)
    return output.respond(connection.as_json, answer, lambda console: _render_report(console, answer))


def _render_report(console: "Console", answer: dict[str, Any]) -> None:
    from vibe_cli import output

    console.print(output.details(_rollout_facts(answer)))
    events = answer["bad_events"]
    console.print(
        f"{answer['scored']:,} requests scored in {answer['days']} days, {answer['mini_share']:.0%} easy. Bad events: "
        f"{events['mini']} of mini, {events['standard']} of standard (e-value {events['evidence']:g}, rollback at "
        f"{events['limit']:g})."
    )
    rows = [
        [
            stratum["stratum"],
            gate["name"],
            output.styled("open", "green") if gate["is_open"] else output.styled("closed", "red"),
            _number(gate["value"]),
            f"{_number(gate['low'])} … {_number(gate['high'])}" if gate["high"] is not None else "",
            gate["required"],
            _missing(gate),
        ]
        for stratum in answer["strata_report"]
        for gate in stratum["gates"]
    ]
    console.print(output.table(("stratum", "gate", "state", "value", "95 %", "required", "missing"), rows))
    for stratum in answer["strata_report"]:
        if stratum["advice"]:
            console.print(f"{stratum['stratum']}: {stratum['advice']}")


def _rollout_facts(answer: dict[str, Any]) -> dict[str, object]:
    following = answer.get("next")
    return {
        "model": f"{answer['model']}: {answer['mini']} or {answer['standard']}",
        "stage": f"{answer['mode']}, {answer['share']:g} % (change {answer['number']})",
        "next": f"{following['mode']}, {following['share']:g} %" if following else None,
        "strata": ", ".join(answer["strata"]),
        "reason": answer.get("reason"),
        "trees": answer["trees"]["version"],
        "savings": None if answer.get("savings") is None else f"about ${answer['savings']:,.2f}",
    }


def _number(value: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _missing(gate: dict[str, Any]) -> str:
    if gate["is_open"]:
        return ""
    return "not by more of the same" if gate["missing"] is None else f"about {gate['missing']:,} more"


@app.command("rollout")
@with_options(connection=Connection)
def rollout(
    connection: Connection,
    model: RoutedModel = "auto",
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="STAGE", help="manual, shadow, 1, 10, 50 or 100 (default: the next)."),
    ] = None,
    strata: Annotated[
        str | None, typer.Option("--strata", metavar="LIST", help="Strata that may go to mini: en,zh,tools,long.")
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Advance only if all gates are open; else do nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last change of rollout or trees.")] = False,
) -> int:
    """Advance a rollout by one stage. Rejected while a gate is closed.

    The stages are manual, shadow, and 1, 10, 50 and 100 % of the conversations; a conversation that is in one stage is
    in all later ones. --auto is for a schedule: it exits with 0 if it is not time yet.
    """
    from vibe_cli import output

    if undo and (stage or strata or auto):
        raise CommandError("--undo excludes the other options.")
    body: dict[str, object] = {"model": model}
    if stage:
        body["stage"] = stage
    if strata:
        body["strata"] = [each.strip() for each in strata.split(",") if each.strip()]
    with connect(connection) as api:
        try:
            answer = api.post("/complexity/undo", body) if undo else api.post("/complexity/rollout", body)
        except CommandError as error:
            if auto and error.status == 1:
                output.note(str(error))
                return 0
            raise
    return output.respond(
        connection.as_json, answer, lambda console: console.print(output.details(_rollout_facts(answer)))
    )


@app.command("rollback")
@with_options(connection=Connection)
def rollback(
    connection: Connection,
    model: RoutedModel = "auto",
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for people.")] = None,
) -> int:
    """Return a model to manual routing at once: its standard model serves all requests."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.post("/complexity/rollback", {"model": model, **({"reason": reason} if reason else {})})
    return output.respond(
        connection.as_json, answer, lambda console: console.print(output.details(_rollout_facts(answer)))
    )


@app.command("export")
@with_options(connection=Connection)
def export(connection: Connection, model: RoutedModel = "auto", days: Days = 90) -> int:
    """Print the evidence of a routed model, one line of JSON per request: numbers only, never a text."""
    with connect(connection) as api:
        for row in _rows(api, model, days):
            sys.stdout.write(json.dumps(row) + "\n")
    return 0


def _rows(api: "Api", model: str, days: int) -> Iterator[dict[str, Any]]:
    before = None
    while True:
        page = api.get("/complexity/rows", model=model, days=days, before=before)
        yield from page["rows"]
        if not (before := page.get("next")):
            return


@app.command("train")
@with_options(connection=Connection)
def train(
    connection: Connection,
    model: RoutedModel = "auto",
    days: Days = 90,
    rows: Annotated[
        Path | None,
        typer.Option("--rows", metavar="FILE", help="Rows of `vibe complexity export` (default: the router's)."),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the trees to a file.")
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Install the trees in the router.")] = False,
    shipped: Annotated[bool, typer.Option("--shipped", help="Install the shipped trees again.")] = False,
    precision: Annotated[
        float, typer.Option("--precision", min=0.5, max=0.999, help="Right decisions for mini that are aimed at.")
    ] = 0.92,
    yes: Yes = False,
) -> int:
    """Train on your own evidence: chooses between the shipped trees, own rows, and both by cross-validation.

    The first 70 % of the rows by time are trained on, and the last 30 % judge the result. Without --install nothing
    changes in the router.
    """
    from vibe_cli import output
    from vibe_cli.complexity.own_rows import labelled_rows
    from vibe_cli.complexity.own_rows import train as train_on
    from vibe_router.routing.complexity.scorer import seed

    if shipped:
        with connect(connection) as api:
            answer = api.post("/complexity/model", {"model": model, "trees": None})
        return output.respond(connection.as_json, answer, lambda console: console.print("The shipped trees are used."))
    if rows:
        found = labelled_rows(_json_lines(rows))
    else:
        with connect(connection) as api:
            found = labelled_rows(_rows(api, model, days))
    try:
        trained = train_on(found, seed(), precision, f"own-{found[-1].at[:10] if found else ''}")
    except ValueError as error:
        raise CommandError(f"Nothing was trained: {error}.", status=1) from error
    text = trained.model.as_json()
    if output_file:
        output_file.write_text(text + "\n", encoding="utf-8")
    if install:
        if trained.chosen == "seed":
            raise CommandError("The shipped trees do best on these rows, so nothing was installed.", status=1)
        if not yes and not output.confirm(f"Install the trees for {model}?"):
            return 1
        with connect(connection) as api:
            api.post("/complexity/model", {"model": model, "trees": text})
    answer = {
        "chosen": trained.chosen,
        "labels": trained.labels,
        "auc": {name: round(value, 4) for name, value in trained.aucs.items()},
        "later_rows": {
            "auc": round(trained.later_auc, 4),
            "mini_share": round(trained.later_mini_share, 4),
            "precision": round(trained.later_precision, 4),
        },
        "threshold": trained.model.threshold,
        "bytes": len(text),
        "installed": install,
    }
    return output.respond(connection.as_json, answer, lambda console: console.print(output.details(answer)))


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(str(file)), start=1):
        if line.strip():
            try:
                read = _parse(line)
            except ValueError as error:
                raise CommandError(f"{file}, line {number}: {error}.", status=1) from None
            if isinstance(read, dict):
                yield read
