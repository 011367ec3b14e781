"""Simulate rollouts of complexity routing with known truth: python -m scripts.simulate_rollouts [--runs 1000].

Reports how often gates open and close correctly, how often a harmless rollout is rolled back, and after how many
requests a doubling of bad events is noticed at stage 50. Takes a few minutes; the tests run a small part of it.
"""

import argparse
import math
import random
import statistics
from functools import cache

from vibe_router.routing.complexity.gates import Observation, report_on
from vibe_router.routing.complexity.sequential import is_mini_worse

__all__ = ["is_gate_open", "requests_until_rollback"]

_MOST_REQUESTS = 5_000


def is_gate_open(
    chance: random.Random, requests: int, right: float, better: float = 0.0, right_hard: float = 0.6
) -> bool:
    """Return whether the English gates open after `requests` dual runs, of which half are of easy requests.

    `right` is how often mini is no worse for easy requests, and `right_hard` for the others; `better` how often it is
    better where it is no worse.
    """
    observations = []
    for _ in range(requests):
        is_easy = chance.random() < 0.5
        is_right = chance.random() < (right if is_easy else right_hard)
        judged = 0.0 if not is_right else 1.0 if chance.random() < better else 0.5
        observations.append(Observation("mini" if is_easy else "standard", ("en",), judged=judged))
    strata = report_on(observations, quality=0.98, precision=0.9).strata
    return next(each for each in strata if each.stratum == "en").is_open


def requests_until_rollback(chance: random.Random, rate: float, ratio: float, share: float = 0.5) -> int | None:
    """Return after how many easy requests a rollout is rolled back, None if it is not.

    `rate` is the share of bad events of standard; mini has `ratio` times as many, and `share` of the requests.
    """
    of_mini = share * rate * ratio
    either = of_mini + (1 - share) * rate
    requests = mini = standard = 0
    while True:
        requests += math.ceil(math.log(1 - chance.random()) / math.log(1 - either))  # until the next bad event
        if requests > _MOST_REQUESTS:
            return None
        if chance.random() < of_mini / either:
            mini += 1
        else:
            standard += 1
        if _rolls_back(mini, standard, share):
            return requests


_rolls_back = cache(is_mini_worse)


def main() -> None:
    """Read the command line, simulate, and report."""
    parser = argparse.ArgumentParser(description="Simulate rollouts of complexity routing.")
    parser.add_argument("--runs", type=int, default=1_000)
    runs, chance = parser.parse_args().runs, random.Random(5)  # noqa: S311 - not for secrets
    good = sum(is_gate_open(chance, 2_400, 0.985, 0.015) for _ in range(runs)) / runs
    wrong = sum(is_gate_open(chance, 2_400, 0.85, 0.05) for _ in range(runs)) / runs
    blind = sum(is_gate_open(chance, 2_400, 0.95, 0.05, right_hard=0.95) for _ in range(runs)) / runs
    print(f"gates open: {good:.1%} of good minis, {wrong:.1%} of bad ones, {blind:.1%} of routers by chance")
    for rate in (0.05, 0.08, 0.1):
        harmless = sum(requests_until_rollback(chance, rate, 1) is not None for _ in range(runs)) / runs
        found = sorted(requests_until_rollback(chance, rate, 2) or _MOST_REQUESTS for _ in range(runs))
        print(
            f"bad events of {rate:.0%}: {harmless:.1%} false rollbacks within {_MOST_REQUESTS:,} requests; a doubling "
            f"is noticed after {statistics.median(found):.0f} requests (median; mean {statistics.mean(found):.0f}, "
            f"95 % of the runs within {found[int(0.95 * runs)]})"
        )


if __name__ == "__main__":
    main()
