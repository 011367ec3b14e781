"""Read measured outcomes: prompts with what a mini and a standard model made of each.

A folder holds outcomes.jsonl.gz and optionally neither.jsonl.gz (prompts that both models failed). Each line has
`prompt`, `group` (near-duplicates, kept on one side of every split), and `weak_score` and `strong_score` from 0 to 1; a
prompt without scores is everyday, and easy by where it comes from.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vibe_cli.complexity.boosting import Example
from vibe_router.routing.complexity.features import features_of, without_options
from vibe_router.routing.complexity.turns import written_text

__all__ = ["Outcome", "examples", "read_folder"]

_FILES = ("outcomes.jsonl.gz", "neither.jsonl.gz")
_LEAST_STEM = 16  # characters
_WITHOUT_OPTIONS = 0.5
"""The weight of a multiple choice without its options.

Nearly all prompts of such data are multiple choice, so their options would be what makes a request hard. Each is added
once more without them."""
_BOTH_FAILED = 0.7
_ONLY_MINI_RIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prompt, reduced to what is scored, with the scores of both models; `is_everyday` without measured ones."""

    text: str
    group: str
    source: str
    mini: float
    standard: float
    is_hard: bool
    is_everyday: bool
    both_failed: bool
    features: tuple[int, ...]


def read_folder(folder: Path) -> list[Outcome]:
    """Read the outcomes of a folder. Raises OSError and ValueError."""
    return [_outcome(line, both_failed=name == _FILES[1]) for name in _FILES for line in _lines(folder / name)]


def _lines(path: Path) -> Iterator[dict[str, object]]:
    if path.name == _FILES[1] and not path.exists():
        return
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            read = json.loads(line)
            if not isinstance(read, dict):
                raise ValueError(f"a line of {path.name} is not an object")
            yield read


def _outcome(line: dict[str, object], *, both_failed: bool) -> Outcome:
    mini, standard = line.get("weak_score"), line.get("strong_score")
    measured = isinstance(mini, int | float) and isinstance(standard, int | float)
    text = written_text(str(line["prompt"]))
    return Outcome(
        text=text,
        group=str(line.get("group") or line.get("id")),
        source=str(line.get("source")),
        mini=float(str(mini)) if measured else 1.0,
        standard=float(str(standard)) if measured else 1.0,
        is_hard=line.get("label") == "complex",
        is_everyday=not measured,
        both_failed=both_failed,
        features=features_of(text),
    )


def examples(outcomes: Sequence[Outcome]) -> list[Example]:
    """Return what is trained on, with the multiple choices once more without their options."""
    found = []
    for each in outcomes:
        weight = _BOTH_FAILED if each.both_failed else _ONLY_MINI_RIGHT if each.mini > each.standard else 1.0
        found.append(Example(each.features, each.is_hard, weight))
        stem = without_options(each.text)
        if stem and len(stem) >= _LEAST_STEM:
            found.append(Example(features_of(stem), each.is_hard, weight * _WITHOUT_OPTIONS))
    return found
