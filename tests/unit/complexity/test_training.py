import gzip
import io
import json
import random
from pathlib import Path

import pytest

from vibe_cli.app import main
from vibe_cli.commands import complexity as commands
from vibe_cli.complexity.boosting import Example, Settings, fit
from vibe_cli.complexity.evaluation import measure, scores_of_methods, table
from vibe_cli.complexity.outcomes import read_folder
from vibe_router.routing.complexity.features import FEATURES, NEVER_DECREASING
from vibe_router.routing.complexity.trees import load

SMALL = Settings(trees=20, rate=0.2, ridge=1, least_rows=10, share_of_features=1)


def examples(number: int = 400) -> list[Example]:
    """Requests that are hard when their first feature is high, with some noise."""
    chance = random.Random(1)  # noqa: S311
    rows = [tuple(chance.randrange(20) for _ in FEATURES) for _ in range(number)]
    return [Example(row, (row[0] > 9) != (chance.random() < 0.1)) for row in rows]


def test_boosting_finds_what_makes_requests_hard() -> None:
    model = fit(examples(), SMALL)
    assert load(model.as_json()) == load(load(model.as_json()).as_json())
    low, high = (model.value((bucket, *[5] * (len(FEATURES) - 1))) for bucket in (2, 17))
    assert low < 0.3 < 0.7 < high
    assert model.reasons((17, *[5] * (len(FEATURES) - 1)))[0][0] == FEATURES[0]


def test_more_of_a_constrained_feature_never_makes_a_request_easier() -> None:
    inverse = [Example(each.features, not each.is_hard) for each in examples()]
    assert FEATURES[0] in NEVER_DECREASING
    model = fit(inverse, SMALL)
    values = [model.value((bucket, *[5] * (len(FEATURES) - 1))) for bucket in range(36)]
    assert values == sorted(values)


def test_training_continues_from_a_model() -> None:
    first = fit(examples(), SMALL)
    second = fit(examples(100), SMALL, start=first)
    assert second.trees[: len(first.trees)] == first.trees
    assert len(second.trees) > len(first.trees)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = random.Random(2)  # noqa: S311
    with gzip.open(tmp_path / "outcomes.jsonl.gz", "wt") as file:
        for number in range(120):
            hard = number % 3 == 0
            prompt = "calculate the sum of 12 and 17 then 19 " * chance.randrange(1, 9) if hard else "what is a cat"
            line = {"prompt": f"{prompt} {number}", "group": str(number), "weak_score": float(not hard)}
            file.write(json.dumps({**line, "strong_score": 1.0, "label": "complex" if hard else "simple"}) + "\n")
        file.write(json.dumps({"prompt": "hello", "group": "e", "weak_score": None, "label": "simple"}) + "\n")
    return tmp_path


def test_methods_are_compared_on_measured_outcomes(folder: Path) -> None:
    outcomes = read_folder(folder)
    assert sum(each.is_everyday for each in outcomes) == 1
    perfect = [float(each.is_hard) for each in outcomes]
    found = measure(outcomes, perfect, 0.5)
    assert (found.auc, found.precision, found.everyday, found.quality) == (1, 1, 1, 1)
    assert measure(outcomes, [0.0] * len(outcomes), 0.5).curve == pytest.approx(0.5)
    compared = table(outcomes, {"perfect": perfect, "none": [0.5] * len(outcomes)}, resamples=20)
    assert compared["none"]["auc"].differs
    assert set(scores_of_methods(outcomes)) >= {"trees and words", "length", "always mini"}


HELLO = {"role": "user", "content": "hello"}
LINES: list[tuple[str, object]] = [
    (json.dumps({"id": "a", "messages": [HELLO]}), "mini"),
    (json.dumps({"id": 7, "messages": [{"role": "user", "content": "Prove that pi is irrational."}]}), "standard"),
    (json.dumps({"id": {"a": [1]}, "messages": [HELLO], "model": "x"}), "mini"),
    (json.dumps({"id": "\ud800", "messages": [HELLO]}), "mini"),
    (json.dumps({"id": "parts", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}), "mini"),
    (json.dumps({"id": "image", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), "standard"),
    (json.dumps({"id": "none", "messages": []}), "standard"),
    (json.dumps({"id": "odd", "messages": [None, 5, "hello", {"role": 3}, {"role": "user", "content": {}}]}), "mini"),
    (json.dumps({"messages": [HELLO]}), "mini"),
    ("not json", "Line 10: not JSON"),
    ('{"id": NaN, "messages": []}', "Line 11: not JSON"),
    ("[" * 100_000, "Line 12: not JSON"),
    ('{"id": "d"}', 'Line 13: not an object with "id" and a list of "messages"'),
    ('{"id": "e", "messages": "hello"}', 'Line 14: not an object with "id" and a list of "messages"'),
    ("", None),
    (json.dumps({"id": "last", "messages": [{"role": "user", "content": "hello " * 200_000}]}), "standard"),
]


def test_requests_are_scored_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "requests.jsonl"
    lines.write_text("\ufeff" + "\n".join(line for line, _ in LINES), encoding="utf-8")
    assert main(["complexity", "score", "--input", str(lines)]) == 1
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    expected = [(line, decision) for line, decision in LINES if decision in ("mini", "standard")]
    assert [each["decision"] for each in answers][:-1] == [decision for _, decision in expected][:-1]
    assert [each["id"] for each in answers] == [json.loads(line).get("id") for line, _ in expected]
    assert all(each.keys() == {"id", "score", "decision"} for each in answers)
    assert err.splitlines() == [found for _, found in LINES if str(found).startswith("Line")]


@pytest.mark.parametrize("size", [50, 64, 65, 200])
def test_a_line_that_is_too_long_is_one_error(
    size: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_MAX_LINE", 64)
    line = json.dumps({"id": 1, "messages": [HELLO]})
    assert len(line) < 64
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'x' * size}\n{line}\n"))
    assert main(["complexity", "score"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(each)["id"] for each in out.splitlines()] == [1]
    assert len(err.splitlines()) == 1


def test_a_file_that_is_missing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", "score", "--input", "/nowhere/at-all"]) == 1
    assert "cannot be read" in capsys.readouterr().err
