"""The gates that a rollout has to pass, for each stratum of requests, before it may advance. Pure.

A label says whether mini's answer was good enough for a request that it would serve: from a dual run (the judge found
it no worse) or from the caller's feedback. Bounds are 95 %, one-sided where only one side matters.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = [
    "LEAST_SCORED",
    "STAGES",
    "STRATA",
    "Gate",
    "Observation",
    "Report",
    "StratumReport",
    "labels_needed",
    "next_stage",
    "report_on",
    "upper_bound",
    "wilson_bounds",
]

STRATA = ("en", "zh", "tools", "long")
STAGES: tuple[tuple[str, float], ...] = (
    ("manual", 0),
    ("shadow", 0),
    ("complexity", 1),
    ("complexity", 10),
    ("complexity", 50),
    ("complexity", 100),
)
"""The stages of a rollout, in order: mode and share in percent."""

LEAST_SCORED = 1_000
_SATISFACTION_POINTS = 0.05
_LEAST_FEEDBACK = 30  # of each arm, from which satisfaction is compared
_Z = 1.6448536269514722  # one-sided 95 %
_Z_TWO_SIDED = 1.959963984540054  # of a comparison, which may go either way
_MOST_LABELS = 100_000


@dataclass(frozen=True, slots=True)
class Observation:
    """One scored request. `judged` is mini's result against standard's: 1 better, 0.5 equal, 0 worse."""

    would: str
    strata: tuple[str, ...]
    arm: str | None = None
    judged: float | None = None
    feedback: int | None = None
    cost: float | None = None

    @property
    def is_right(self) -> bool | None:
        """Return whether mini was, or would have been, good enough; None if nothing says so."""
        if self.judged is not None:
            return self.judged >= 0.5
        if self.arm == "mini" and self.feedback:
            return self.feedback > 0
        return None


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement: `value` with its interval, what is `required`, and whether it is met.

    `missing` is how many more labels or requests could meet it; None if more of the same cannot, 0 if it is met.
    """

    name: str
    is_open: bool
    value: float | None
    low: float | None
    high: float | None
    required: str
    missing: int | None = 0


@dataclass(frozen=True, slots=True)
class StratumReport:
    """The gates of one stratum. `needs_no_router`: mini alone would pass as well."""

    stratum: str
    scored: int
    mini_share: float
    labels: int
    gates: tuple[Gate, ...]
    needs_no_router: bool

    @property
    def is_open(self) -> bool:
        """Return whether all gates are open."""
        return all(gate.is_open for gate in self.gates)


@dataclass(frozen=True, slots=True)
class Report:
    """The report on a routed model, stratum by stratum, and the dollars that mini has saved (None if unknown)."""

    strata: tuple[StratumReport, ...]
    scored: int
    mini_share: float
    savings: float | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def closed(self, strata: Iterable[str]) -> list[str]:
        """Return those of `strata` that have a closed gate."""
        opened = {each.stratum for each in self.strata if each.is_open}
        return [each for each in strata if each not in opened]


def wilson_bounds(right: int, number: int) -> tuple[float, float]:
    """Return the one-sided 95 % bounds of a share (Wilson); 0 and 1 without observations."""
    if not number:
        return 0.0, 1.0
    share, z2 = right / number, _Z * _Z
    middle = share + z2 / (2 * number)
    spread = _Z * math.sqrt(share * (1 - share) / number + z2 / (4 * number * number))
    return max((middle - spread) / (1 + z2 / number), 0.0), min((middle + spread) / (1 + z2 / number), 1.0)


def upper_bound(values: Sequence[float]) -> float:
    """Return the 95 % upper bound of a mean of values from -1 to 1; one for less than ten."""
    number = len(values)
    if number < 10:
        return 1.0
    mean = sum(values) / number
    variance = sum((each - mean) ** 2 for each in values) / (number - 1)
    # Were all values equal, the sample would say nothing of rare losses: one loss is added.
    return mean + _Z * math.sqrt((variance + 1 / number) / number)


def labels_needed(share: float, required: float, have: int) -> int | None:
    """Return how many more labels of the same share would lift Wilson's lower bound to `required`; None if none do."""
    if share <= required:
        return None
    low, high = have, _MOST_LABELS
    if wilson_bounds(round(share * high), high)[0] < required:
        return None
    while low < high:
        middle = (low + high) // 2
        if wilson_bounds(math.floor(share * middle), middle)[0] >= required:
            high = middle
        else:
            low = middle + 1
    return max(low - have, 0)


def report_on(observations: Sequence[Observation], quality: float, precision: float) -> Report:
    """Return the report on scored requests, in the order of time."""
    strata = tuple(
        _stratum(name, [each for each in observations if name in each.strata], quality, precision) for name in STRATA
    )
    scored = len(observations)
    would = sum(each.would == "mini" for each in observations)
    return Report(strata, scored, would / scored if scored else 0.0, _savings(observations), _counts(observations))


def _stratum(name: str, rows: Sequence[Observation], quality: float, precision: float) -> StratumReport:
    easy = [each for each in rows if each.would == "mini"]
    labels = [right for each in easy if (right := each.is_right) is not None]
    judged = [each for each in rows if each.judged is not None]
    gates = (
        _enough(len(rows)),
        _precise(sum(labels), len(labels), precision),
        _lossless([_loss(each) for each in easy if each.judged is not None], quality),
        _satisfying(easy),
        _better_than_chance(judged),
    )
    everything = [each.is_right for each in judged]
    alone = _precise(sum(map(bool, everything)), len(everything), precision).is_open
    alone = alone and _lossless([_loss(each) for each in judged], quality).is_open
    share = len(easy) / len(rows) if rows else 0.0
    return StratumReport(name, len(rows), share, len(labels), gates, alone)


def _loss(each: Observation) -> float:
    """Return standard's advantage in a dual run: 1, 0 or -1."""
    return 1 - 2 * (each.judged if each.judged is not None else 0.5)


def _enough(number: int) -> Gate:
    return Gate(
        "scored requests",
        number >= LEAST_SCORED,
        number,
        None,
        None,
        f"at least {LEAST_SCORED:,}",
        max(LEAST_SCORED - number, 0),
    )


def _precise(right: int, number: int, required: float) -> Gate:
    low, high = wilson_bounds(right, number)
    share = right / number if number else None
    is_open = number > 0 and low >= required
    missing = 0 if is_open else labels_needed(share if share is not None else (1 + required) / 2, required, number)
    return Gate("right decisions for mini", is_open, share, low, high, f"lower bound ≥ {required:.2f}", missing)


def _lossless(losses: Sequence[float], quality: float) -> Gate:
    most = round(1 - quality, 6)
    mean = sum(losses) / len(losses) if losses else None
    high = upper_bound(losses)
    is_open = bool(losses) and high <= most
    missing: int | None = 0
    if not is_open:
        missing = _dual_runs_needed(losses, most)
    return Gate("loss of quality", is_open, mean, None, high, f"upper bound ≤ {most:.2f}", missing)


def _dual_runs_needed(losses: Sequence[float], most: float) -> int | None:
    number = len(losses)
    mean = sum(losses) / number if number else 0.0
    if number >= 10 and mean >= most:
        return None
    spread = sum((each - mean) ** 2 for each in losses) / number if number >= 10 else 0.1
    needed = math.ceil((spread + 1 / max(number, 100)) * (_Z / max(most - mean, 1e-3)) ** 2)
    return max(needed - number, 10 - number, 1)


def _satisfying(easy: Sequence[Observation]) -> Gate:
    arms = {arm: [each.feedback for each in easy if each.arm == arm and each.feedback] for arm in ("mini", "standard")}
    shares = {arm: sum(value > 0 for value in values) / len(values) for arm, values in arms.items() if values}
    required = f"at most {_SATISFACTION_POINTS * 100:.0f} points below control"
    if min(map(len, arms.values())) < _LEAST_FEEDBACK:  # before mini has served, there is none to compare
        return Gate("satisfaction", True, None, None, None, f"{required}, once both arms have {_LEAST_FEEDBACK}")
    gap = shares["mini"] - shares["standard"]
    return Gate("satisfaction", gap >= -_SATISFACTION_POINTS, gap, None, None, required, None)


def _better_than_chance(judged: Sequence[Observation]) -> Gate:
    """Compare with a shuffled control of the same cost, whose decisions for mini are right as often as mini is."""
    easy = [each for each in judged if each.would == "mini"]
    hard = [each for each in judged if each.would != "mini"]
    required = "lower bound > 0 against a shuffled control"
    if not easy or not hard:
        return Gate("better than chance", False, None, None, None, required, 200)
    right_easy, right_hard = (sum(bool(each.is_right) for each in rows) / len(rows) for rows in (easy, hard))
    # A shuffled control takes its decisions for mini from all requests, so its advantage is this part of the gap.
    part = len(hard) / len(judged)
    gap = (right_easy - right_hard) * part
    smooth_easy, smooth_hard = (
        (right * len(rows) + 1) / (len(rows) + 2) for right, rows in ((right_easy, easy), (right_hard, hard))
    )
    error = part * math.sqrt(smooth_easy * (1 - smooth_easy) / len(easy) + smooth_hard * (1 - smooth_hard) / len(hard))
    low, high = gap - _Z_TWO_SIDED * error, gap + _Z_TWO_SIDED * error
    missing: int | None = 0
    if low <= 0:
        missing = math.ceil(len(judged) * ((_Z_TWO_SIDED * error / gap) ** 2 - 1)) + 1 if gap > 0 else None
    return Gate("better than chance", low > 0, gap, low, high, required, missing)


def _savings(observations: Sequence[Observation]) -> float | None:
    """Return the dollars that the mini arm has cost less than as many requests of the control; None without both."""
    costs = {
        arm: [each.cost for each in observations if each.arm == arm and each.cost is not None]
        for arm in ("mini", "standard")
    }
    if not costs["mini"] or not costs["standard"]:
        return None
    usual = sum(costs["standard"]) / len(costs["standard"])
    return usual * len(costs["mini"]) - sum(costs["mini"])


def _counts(observations: Sequence[Observation]) -> dict[str, int]:
    return {
        "dual_runs": sum(each.judged is not None for each in observations),
        "feedback": sum(bool(each.feedback) for each in observations),
        "arm_mini": sum(each.arm == "mini" for each in observations),
        "arm_standard": sum(each.arm == "standard" for each in observations),
    }


def next_stage(mode: str, share: float) -> tuple[str, float] | None:
    """Return the stage after the one of `mode` and `share`; None after the last."""
    if mode == "complexity":
        return next((stage for stage in STAGES if stage[0] == mode and stage[1] > share), None)
    return STAGES[STAGES.index((mode, 0)) + 1]
