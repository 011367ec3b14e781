"""Finds regular expressions that take more than linear time on some text, without running them.

A pattern becomes an automaton whose states are its characters. Backtracking takes exponential time if a state can be
reached again from itself by two paths with the same text, and polynomial time if two loops, one behind the other, can
share a text between them in several ways. Trying a search at every position counts as a loop before the pattern.

Bounded repetitions cost a constant factor only; they are cut short. Back references are refused. Imported where a
pattern is written, never where one is used.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from re import _constants as op  # type: ignore[attr-defined] # the standard library's parser has no public name
from re import _parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["TooComplexError", "reasons", "ways"]

_ALPHABET = frozenset([*range(256), 0x100, 0x0660, 0x2028, 0x4E2D, 0x1F600])
"""Characters of every class that patterns tell apart."""
_COPIES = 2  # of a bounded repetition
_UNBOUNDED = 1000  # repetitions that count as any number
_BEGINNINGS = ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING))


class TooComplexError(ValueError):
    """The pattern is too large to be checked."""


@dataclass
class _Part:
    """The automaton of a part: its first and last states, whether it matches nothing, and what may follow it."""

    first: set[int] = field(default_factory=set)
    last: set[int] = field(default_factory=set)
    nullable: bool = True


class _Automaton:
    def __init__(self, flags: int, unbounded: int, most_steps: int | None) -> None:
        self.flags = flags
        self.unbounded = unbounded
        self.steps_left = most_steps
        self.characters: list[frozenset[int]] = []
        self.edges: dict[int, dict[int, frozenset[int]]] = defaultdict(dict)
        self.blocked: dict[int, frozenset[int]] = defaultdict(frozenset)  # by state: what a possessive loop eats first
        self.doubled: set[tuple[int, int]] = set()  # steps that two repetitions allow for the same character
        self.only_at_start: set[int] = set()
        self.rejected: list[str] = []

    def step(self) -> None:
        """Count one step of the check. Raises TooComplexError."""
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise TooComplexError("too complex")

    def state(self, characters: Iterable[int]) -> _Part:
        self.characters.append(frozenset(characters))
        number = len(self.characters) - 1
        return _Part({number}, {number}, nullable=False)

    def connect(self, before: Iterable[int], after: Iterable[int]) -> None:
        for one in before:
            for other in after:
                through, known = self.characters[other] - self.blocked[one], self.edges[one].get(other, frozenset())
                if through & known:
                    self.doubled.add((one, other))
                if through:
                    self.edges[one][other] = known | through

    def sequence(self, items: Iterable[Any]) -> _Part:
        whole, items = _Part(), list(items)
        for code, value in items:
            part = self.part(code, value)
            self.connect(whole.last, part.first)
            if whole.nullable:
                whole.first |= part.first
            if code in (op.ASSERT, op.ASSERT_NOT):
                continue  # a way that ends here
            whole.last = part.last | (whole.last if part.nullable else set())
            whole.nullable &= part.nullable
        if items and items[0] in _BEGINNINGS and not self.flags & op.SRE_FLAG_MULTILINE:
            self.only_at_start |= whole.first
        return whole

    def part(self, code: Any, value: Any) -> _Part:
        match code:
            case op.LITERAL | op.NOT_LITERAL | op.ANY | op.IN:
                return self.state(_characters(code, value, self.flags))
            case op.AT:
                return _Part()
            case op.SUBPATTERN:
                _, added, removed, items = value
                before, self.flags = self.flags, (self.flags | added) & ~removed
                part = self.sequence(items)
                self.flags = before
                return part
            case op.ATOMIC_GROUP:
                return self.sequence(value)
            case op.BRANCH:
                parts = [self.sequence(branch) for branch in value[1]]
                return _Part(
                    set().union(*(part.first for part in parts)),
                    set().union(*(part.last for part in parts)),
                    any(part.nullable for part in parts),
                )
            case op.MAX_REPEAT | op.MIN_REPEAT | op.POSSESSIVE_REPEAT:
                return self.repeat(*value, possessive=code is op.POSSESSIVE_REPEAT)
            case op.ASSERT | op.ASSERT_NOT:
                return self.sequence(value[1])  # lookbehinds too, whose length Python bounds
        self.rejected.append(f"{code} is not modelled")
        return _Part()

    def repeat(self, least: int, most: int, items: Any, *, possessive: bool) -> _Part:
        is_fixed = least == most and most < _UNBOUNDED and len(set(items.getwidth())) == 1
        if most < self.unbounded or is_fixed:
            whole = _Part()
            for number in range(min(most, _COPIES)):
                part = self.sequence(items)
                self.connect(whole.last, part.first)
                if whole.nullable:
                    whole.first |= part.first
                part.nullable |= number >= least
                whole.last = part.last | (whole.last if part.nullable else set())
                whole.nullable &= part.nullable
            return whole
        part = self.sequence(items)
        self.connect(part.last, part.first)
        if possessive:  # it ends only where it cannot go on
            eaten = frozenset().union(*(self.characters[state] for state in part.first))
            for state in part.last:
                self.blocked[state] |= eaten
        part.nullable |= least == 0
        return part


def _characters(code: Any, value: Any, flags: int) -> frozenset[int]:
    found: frozenset[int]
    match code:
        case op.LITERAL:
            found = frozenset({value})
        case op.NOT_LITERAL:
            return _ALPHABET - _characters(op.LITERAL, value, flags)
        case op.ANY:
            return _ALPHABET if flags & op.SRE_FLAG_DOTALL else _ALPHABET - {ord("\n")}
        case op.RANGE:
            found = frozenset(range(value[0], value[1] + 1)) & (_ALPHABET | {value[0], value[1]})
        case op.CATEGORY:
            return _category(value, flags)
        case op.IN:
            negated = value[0][0] is op.NEGATE
            found = frozenset(one for kind, given in value[negated:] for one in _characters(kind, given, flags))
            return _ALPHABET - found if negated else found
        case _:
            raise AssertionError(code)
    if flags & op.SRE_FLAG_IGNORECASE:
        found |= frozenset(
            ord(other) for each in found for other in (chr(each).lower(), chr(each).upper()) if len(other) == 1
        )
    return found


def _category(category: Any, flags: int) -> frozenset[int]:
    name = str(category).removeprefix("CATEGORY_")
    tests: dict[str, Callable[[str], bool]] = {
        "DIGIT": str.isdigit,
        "SPACE": str.isspace,
        "WORD": lambda character: character.isalnum() or character == "_",
    }
    test = tests[name.removeprefix("NOT_")]
    plain = 128 if flags & op.SRE_FLAG_ASCII else 0x110000
    found = frozenset(each for each in _ALPHABET if each < plain and test(chr(each)))
    return _ALPHABET - found if name.startswith("NOT_") else found


def reasons(
    pattern: str | bytes,
    flags: int,
    *,
    searches: bool,
    whole_text: bool = False,
    unbounded: int = _UNBOUNDED,
    most_steps: int | None = None,
) -> list[str]:
    """Return why `pattern` may take more than linear time.

    `searches` says whether it is tried at every position, `whole_text` whether it must reach the end of the text.
    From `unbounded` repetitions on, a repetition of varying length counts as one of any number. Raises TooComplexError
    if the check takes more than `most_steps`.
    """
    parsed: Any = _parser.parse(pattern, flags)
    automaton = _Automaton(parsed.state.flags, unbounded, most_steps)
    items = list(parsed)
    whole = automaton.sequence(items)
    tries: set[int] = set()
    if searches:
        before = _before(automaton, items, whole)
        right, wrong = automaton.state(before), automaton.state(_ALPHABET - before)
        tries = right.first | wrong.first
        automaton.connect(tries, tries)
        automaton.connect(right.first, whole.first - automaton.only_at_start)
    found = list(automaton.rejected)
    if any(_reaches(automaton, other, one) for one, other in automaton.doubled):
        found.append("exponential: a repetition within a repetition matches the same text in two ways")
    # Where a match can end it does, and nothing is tried again.
    ends = set() if whole_text or any(item[0] is op.AT for item in items[1:]) else whole.last
    loops = [state for state in range(len(automaton.characters)) if _reaches(automaton, state, state)]
    if any(_has_two_ways_round(automaton, state) for state in loops if state not in tries):
        found.append("exponential: a repetition matches the same text in two ways")
    endless = [state for state in loops if not any(_in_one_loop(automaton, state, end) for end in ends)]
    for one in loops:
        for other in endless:
            if one != other and other not in tries and _shares(automaton, one, other):
                where = "a search" if one in tries else "two repetitions"
                found.append(f"quadratic: {where} can share the same text in many ways")
    return sorted(set(found))


def _before(automaton: _Automaton, items: list[Any], whole: _Part) -> frozenset[int]:
    """Return the characters that may precede a match."""
    first = items[0] if items else None
    if first in _BEGINNINGS and automaton.flags & op.SRE_FLAG_MULTILINE:
        return frozenset({ord("\n")})
    words = _category(op.CATEGORY_WORD, automaton.flags)
    if first == (op.AT, op.AT_BOUNDARY) and all(automaton.characters[state] <= words for state in whole.first):
        return _ALPHABET - words
    return _ALPHABET


def ways(pattern: str, flags: int = 0) -> int:
    """Return in how many ways the optional parts of `pattern`, short repetitions and alternatives can be combined."""
    return _ways(_parser.parse(pattern, flags))


def _ways(items: Iterable[Any]) -> int:
    number = 1
    for code, value in items:
        match code:
            case op.SUBPATTERN:
                number *= _ways(value[3])
            case op.BRANCH:
                number *= sum(_ways(branch) for branch in value[1])
            case op.MAX_REPEAT | op.MIN_REPEAT:
                least, most, content = value
                inner = _ways(content)
                number *= inner ** min(most, 20) * (min(most, 20) - min(least, 20) + 1) if most < _UNBOUNDED else inner
    return number


def _reaches(automaton: _Automaton, one: int, other: int) -> bool:
    seen, rest = set(), list(automaton.edges[one])
    while rest:
        automaton.step()
        state = rest.pop()
        if state == other:
            return True
        if state not in seen:
            seen.add(state)
            rest += automaton.edges[state]
    return False


def _in_one_loop(automaton: _Automaton, one: int, other: int) -> bool:
    return _reaches(automaton, one, other) and _reaches(automaton, other, one)


def _steps(automaton: _Automaton, states: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the states that all of `states` reach with the same character."""

    def extend(chosen: tuple[int, ...], characters: frozenset[int] | None) -> Iterator[tuple[int, ...]]:
        if len(chosen) == len(states):
            yield chosen
            return
        for state, through in automaton.edges[states[len(chosen)]].items():
            both = through if characters is None else characters & through
            if both:
                yield from extend((*chosen, state), both)

    yield from extend((), None)


def _has_two_ways_round(automaton: _Automaton, state: int) -> bool:
    """Return whether two different paths lead from `state` to itself with the same text."""
    seen: set[tuple[tuple[int, ...], bool]] = set()
    rest: list[tuple[tuple[int, ...], bool]] = [((state, state), False)]
    while rest:
        automaton.step()
        pair, differed = rest.pop()
        for reached in _steps(automaton, pair):
            now = differed or reached[0] != reached[1]
            if now and reached == (state, state):
                return True
            if (reached, now) not in seen:
                seen.add((reached, now))
                rest.append((reached, now))
    return False


def _shares(automaton: _Automaton, one: int, other: int) -> bool:
    """Return whether some text leads from `one` to itself, from `one` to `other`, and from `other` to itself."""
    if not _reaches(automaton, one, other):
        return False
    seen: set[tuple[int, ...]] = set()
    rest: list[tuple[int, ...]] = [(one, one, other)]
    while rest:
        automaton.step()
        for reached in _steps(automaton, rest.pop()):
            if reached == (one, other, other):
                return True
            if reached not in seen:
                seen.add(reached)
                rest.append(reached)
    return False
