"""The pace of an answer, and its framing."""

import pytest

from local.standin.exchange import paced, streamed
from local.standin.formats import Event
from local.standin.steps import Pause, Send

HEAD = Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def _events(words: int) -> list[Event]:
    content = [Event("content", b"data: w\n\n")] * words
    return [Event("opening", b"data: o\n\n"), *content, Event("finish", b"data: f\n\n"), Event("done", b"data: d\n\n")]


@pytest.mark.parametrize("words", [1, 10, 40, 1000])
def test_the_pauses_add_up_to_nearly_the_pace(words: int) -> None:
    items = list(paced(_events(words), 1.2))
    pauses = [item.seconds for item in items if isinstance(item, Pause)]
    gap = 1.2 * 0.75 / words
    assert 1.2 - max(gap, 0.02) - 0.001 <= sum(pauses) <= 1.2
    assert pauses[0] == pytest.approx(0.3)
    assert min(pauses) >= 0.02
    assert [item for item in items if isinstance(item, Event)] == _events(words)
    assert isinstance(items[0], Event), "the role comes at once"


def test_without_a_pace_nothing_pauses() -> None:
    assert list(paced(_events(5), 0.0)) == _events(5)


def test_events_with_no_pause_between_share_a_write_and_keep_their_chunks() -> None:
    [step] = streamed(_events(2), HEAD)
    assert isinstance(step, Send)
    assert step.data.count(b"9\r\ndata: w\n\n\r\n") == 2
    assert step.data.endswith(b"data: d\n\n\r\n0\r\n\r\n")


def test_a_pause_parts_two_writes() -> None:
    steps = list(streamed([_events(0)[0], Pause(1.0), *_events(0)[1:]], HEAD))
    assert [type(step) for step in steps] == [Send, Pause, Send]


def test_long_streams_are_written_in_parts() -> None:
    steps = [step for step in streamed(_events(10_000), HEAD) if isinstance(step, Send)]
    assert len(steps) > 5
    assert all(len(step.data) < 20_000 for step in steps)
