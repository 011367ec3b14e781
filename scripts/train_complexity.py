"""Train the shipped complexity model on measured outcomes: python -m scripts.train_complexity FOLDER [--table].

FOLDER holds outcomes.jsonl.gz and neither.jsonl.gz (vibe_cli.complexity.outcomes). Only numbers derived from them are
written. With --table, our model is compared with others by cross-validation, which takes about three minutes.
"""

import argparse
import sys
from pathlib import Path

from scripts.artefacts import ROOT
from vibe_cli.complexity.evaluation import MEASURES, Estimate, scores_of_methods, table, train_seed
from vibe_cli.complexity.outcomes import read_folder

_SEED = ROOT / "layers/router/vibe_router/routing/complexity/seed.json"


def main() -> None:
    """Read the command line, train or compare, and report."""
    parser = argparse.ArgumentParser(description="Train the shipped complexity model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", default="seed-2")
    parser.add_argument("--table", action="store_true", help="compare methods instead of training")
    arguments = parser.parse_args()
    outcomes = read_folder(arguments.folder)
    if arguments.table:
        for name, measures in table(outcomes, scores_of_methods(outcomes)).items():
            print(f"| {name} | " + " | ".join(_cell(measures[key]) for key in MEASURES) + " |")
        return
    model = train_seed(outcomes, arguments.version)
    _SEED.write_text(model.as_json() + "\n", encoding="utf-8")
    print(f"{_SEED.stat().st_size:,} bytes, threshold {model.threshold}, {model.facts}", file=sys.stderr)


def _cell(estimate: Estimate) -> str:
    sign = "" if estimate.differs else " (not significant)"
    return f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f}){sign}"


if __name__ == "__main__":
    main()
