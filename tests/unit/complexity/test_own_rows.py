"""Training on a user's own evidence: what is chosen, what it is judged by, and the command."""

import json
from pathlib import Path

import pytest

from tests.unit.complexity.own_evidence import evidence
from vibe_cli.app import main
from vibe_cli.complexity import own_rows
from vibe_cli.complexity.own_rows import labelled_rows, train
from vibe_router.routing.complexity.features import decode, encode
from vibe_router.routing.complexity.scorer import seed
from vibe_router.routing.complexity.trees import load

SEED = seed()


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer trees than are trained for users: it is the choice that is tested."""
    monkeypatch.setattr(own_rows, "_TREES", 6)


def test_own_rows_are_chosen_where_they_know_better() -> None:
    rows = labelled_rows(evidence(400))
    trained = train(rows, SEED, 0.9, "own-1")
    assert trained.chosen in ("own", "both")
    assert trained.aucs["seed"] < 0.6 < 0.85 < trained.aucs[trained.chosen]
    assert trained.later_auc > 0.85
    assert trained.model.version == "own-1"
    assert trained.model.facts["trained_until"] == rows[279].at  # the first 70 %; the gates look at later rows only
    assert load(trained.model.as_json()) == trained.model


def test_the_seed_is_chosen_where_it_is_as_good() -> None:
    rows = evidence(240)
    for row in rows:
        row["judged"] = 0.5 if SEED.value(decode(row["features"])) < SEED.threshold else 0.0
    assert train(labelled_rows(rows), SEED, 0.9, "own-1").chosen == "seed"


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 100 labels, and at least 200 are needed"):
        train(labelled_rows(evidence(100)), SEED, 0.9, "own-1")
    with pytest.raises(ValueError, match="all labels are the same"):
        train(labelled_rows([{**row, "judged": 1} for row in evidence(240)]), SEED, 0.9, "own-1")


def test_only_rows_with_a_label_and_these_features_are_used() -> None:
    features = encode([0] * 72)
    rows: list[dict[str, object]] = [
        {"at": "3", "features": features, "judged": 0.5},
        {"at": "1", "features": features, "arm": "mini", "feedback": -1},
        {"at": "2", "features": features, "arm": "standard", "feedback": -1},
        {"at": "4", "features": features},
        {"at": "5", "features": "0123", "judged": 1},
        {"at": "6", "features": None, "judged": 1},
        {"at": "7", "features": "?" * 72, "judged": 1},
    ]
    assert [(each.at, each.example.is_hard) for each in labelled_rows(rows)] == [("1", True), ("3", False)]


def test_the_command_trains_on_a_file_and_writes_trees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, trees = tmp_path / "rows.jsonl", tmp_path / "trees.json"
    rows.write_text("\n".join(map(json.dumps, evidence(240))), encoding="utf-8")
    assert main(["complexity", "train", "--rows", str(rows), "--output", str(trees), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["chosen"] != "seed"
    assert answer["labels"] == 240
    assert not answer["installed"]
    assert load(trees.read_text()).threshold == answer["threshold"]
    assert main(["complexity", "score", "--model", str(trees), "--input", "/dev/null"]) == 0


def test_a_file_that_is_not_json_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"at": "1"}\nnot json\n')
    assert main(["complexity", "train", "--rows", str(rows)]) == 1
    assert "line 2: not JSON" in capsys.readouterr().err
