"""Two pieces of one text are joined so that no character is lost or written twice."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.formats.overlap import ContinuationJoiner, DivergedError, Joiner, RepetitionJoiner, as_prefill

TEXTS = st.text(st.sampled_from("ab \n.é😀"), max_size=60)
PROSE = "The quick brown fox jumps over the lazy dog.  It does so every day,\nuntil the dog has had enough of it."


def _joined(joiner: Joiner, pieces: Sequence[str]) -> str:
    return "".join([joiner.feed(piece) for piece in pieces] + [joiner.end()])


def _pieces(text: str, sizes: Sequence[int]) -> Iterator[str]:
    start = 0
    for size in sizes:
        yield text[start : start + size]
        start += size
    yield text[start:]


SIZES = st.lists(st.integers(0, 9), max_size=20)


@given(known=TEXTS, rest=TEXTS, sizes=SIZES)
@settings(max_examples=60)
def test_a_repetition_is_skipped_to_the_letter(known: str, rest: str, sizes: list[int]) -> None:
    assert _joined(RepetitionJoiner(known), list(_pieces(known + rest, sizes))) == rest


@given(cut=st.integers(1, len(PROSE)), sizes=SIZES)
@settings(max_examples=60)
def test_a_continuation_is_new_to_the_letter(cut: int, sizes: list[int]) -> None:
    known = PROSE[:cut]
    rest = PROSE[len(as_prefill(known)) :]
    assert known + _joined(ContinuationJoiner(known), list(_pieces(rest, sizes))) == PROSE


@pytest.mark.parametrize("size", [1, 2, 3])
def test_white_space_is_skipped_across_pieces(size: int) -> None:
    rest = "\n\n  Next."
    pieces = [rest[start : start + size] for start in range(0, len(rest), size)]
    assert _joined(ContinuationJoiner("First.\n\n "), pieces) == " Next."


@given(cut=st.integers(1, len(PROSE)))
@settings(max_examples=40)
def test_a_continuation_may_leave_out_the_white_space_that_the_caller_has(cut: int) -> None:
    known = PROSE[:cut]
    if known[-1].isspace() and PROSE[cut : cut + 1].isspace():
        return  # what follows may be the space that the prefill lacks
    assert known + _joined(ContinuationJoiner(known), [PROSE[cut:]]) == PROSE


@given(cut=st.integers(20, len(PROSE)), sizes=SIZES)
@settings(max_examples=40)
def test_an_answer_that_begins_again_in_spite_of_the_prefill_is_detected(cut: int, sizes: list[int]) -> None:
    known = PROSE[:cut]
    assert known + _joined(ContinuationJoiner(known), list(_pieces(PROSE, sizes))) == PROSE


@given(known=st.text(st.sampled_from("ab"), min_size=1, max_size=19), rest=TEXTS, sizes=SIZES)
@settings(max_examples=60)
def test_a_continuation_may_begin_as_the_text_does(known: str, rest: str, sizes: list[int]) -> None:
    assert _joined(ContinuationJoiner(known), list(_pieces(known + rest, sizes))) == known + rest


@pytest.mark.parametrize("again", ["The quick brown dog", "The", "", "A quick brown fox jumps over"])
def test_a_repetition_that_differs_or_ends_early_has_diverged(again: str) -> None:
    with pytest.raises(DivergedError):
        _joined(RepetitionJoiner("The quick brown fox jumps"), [again])


@pytest.mark.parametrize("again", ["The quick brown fox jumps high", "The quick brown fox jumps"])
def test_an_answer_that_begins_again_and_differs_has_diverged(again: str) -> None:
    with pytest.raises(DivergedError):
        _joined(ContinuationJoiner("The quick brown fox jumps over the lazy dog"), [again])


def test_a_finished_text_needs_no_more() -> None:
    assert _joined(ContinuationJoiner(PROSE), []) == ""
