"""An always-valid test of whether bad events fall on the mini arm more often than its share of requests explains.

Both arms get the same kind of requests, divided by a hash. If mini is no worse, each bad event is one of mini's with
the probability of its share. The e-value is the likelihood ratio of this against mini having 1.5 to 5 times as many,
mixed. It may be looked at after every event: it ever exceeds 20 in at most 5 % of all harmless rollouts (Ville).
"""

import math

__all__ = ["LIMIT", "evidence_against_mini", "is_mini_worse"]

LIMIT = 20.0
"""The e-value from which a rollout is rolled back: at most one false rollback in twenty rollouts."""

_RATIOS = (1.5, 2.0, 3.0, 5.0)  # of the rates of bad events


def evidence_against_mini(mini: int, standard: int, share: float) -> float:
    """Return the e-value for bad events of both arms; `share` is mini's part of the requests, from 0 to 1."""
    if not 0 < share < 1:
        return 0.0
    ratios = []
    for ratio in _RATIOS:
        part = ratio * share / (ratio * share + 1 - share)
        log = mini * math.log(part / share) + standard * math.log((1 - part) / (1 - share))
        ratios.append(math.exp(min(log, 700)))
    return sum(ratios) / len(ratios)


def is_mini_worse(mini: int, standard: int, share: float) -> bool:
    """Return whether the bad events so far call for a rollback."""
    return evidence_against_mini(mini, standard, share) >= LIMIT
