"""An always-valid test of whether bad events fall on the mini arm more often than its share of requests explains.

Both arms get the same kind of requests, divided by a hash. If mini is no worse, each bad event is one of mini's with
the probability of its share. The e-value is the likelihood ratio of this against mini having twice as many, or three
times. It may be looked at after every event: it ever exceeds a limit of 22 in at most 4.5 % of all harmless rollouts
(Ville), and in 3.9 % of those at 50 %, however long they last.
"""

import math

__all__ = ["LIMIT", "evidence_against_mini", "is_mini_worse"]

LIMIT = 22.0
"""The e-value from which a rollout is rolled back: less than one harmless rollout in twenty-two is."""

_RATIOS = {2.0: 0.75, 3.0: 0.25}
"""How many times as many bad events mini has, under what is tested for, with prior weights.

Chosen so that a doubling is noticed after the fewest events: half of the time after 43 at a share of 50 %."""


def evidence_against_mini(mini: int, standard: int, share: float) -> float:
    """Return the e-value for bad events of both arms; `share` is mini's part of the requests, from 0 to 1."""
    if not 0 < share < 1:
        return 0.0
    evidence = 0.0
    for ratio, weight in _RATIOS.items():
        part = ratio * share / (ratio * share + 1 - share)
        log = mini * math.log(part / share) + standard * math.log((1 - part) / (1 - share))
        evidence += weight * math.exp(min(log, 700))
    return evidence


def is_mini_worse(mini: int, standard: int, share: float) -> bool:
    """Return whether the bad events so far call for a rollback."""
    return evidence_against_mini(mini, standard, share) >= LIMIT
