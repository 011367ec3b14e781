import threading

import pytest

from streaming_runtime import Heartbeat
from streaming_runtime.errors import RuntimeApiLostError
from streaming_runtime.heartbeat import Pulse

BEAT = Heartbeat(15, b": beat\n\n")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_beats_after_silence_and_again_each_interval() -> None:
    clock, sent = Clock(), list[bytes]()
    pulse = Pulse(clock, threaded=False)
    send = pulse.start(sent.append, BEAT)
    clock.now += 14
    assert pulse.beat() == 1
    send(b"chunk")
    clock.now += 14
    assert pulse.beat() == 1, "a chunk begins the wait anew"
    assert sent == [b"chunk"]
    clock.now += 1
    assert pulse.beat() == 15
    assert sent == [b"chunk", BEAT.payload]
    clock.now += 14.5
    assert pulse.beat() == 0.5
    clock.now += 0.5
    pulse.beat()
    assert sent == [b"chunk", BEAT.payload, BEAT.payload]


def test_it_beats_before_the_first_chunk_too() -> None:
    clock, sent = Clock(), list[bytes]()
    pulse = Pulse(clock, threaded=False)
    pulse.start(sent.append, BEAT)
    clock.now += 15
    pulse.beat()
    assert sent == [BEAT.payload]


def test_a_long_sleep_is_one_beat_and_not_many() -> None:
    clock, sent = Clock(), list[bytes]()
    pulse = Pulse(clock, threaded=False)
    pulse.start(sent.append, BEAT)
    clock.now += 3600
    assert pulse.beat() == 15
    assert sent == [BEAT.payload]


def test_after_stop_it_is_silent_and_the_next_stream_has_its_own_times() -> None:
    clock, first, second = Clock(), list[bytes](), list[bytes]()
    pulse = Pulse(clock, threaded=False)
    pulse.start(first.append, BEAT)
    pulse.stop()
    clock.now += 60
    assert pulse.beat() is None
    pulse.start(second.append, Heartbeat(5, b"other"))
    assert pulse.beat() == 5
    clock.now += 5
    pulse.beat()
    assert (first, second) == ([], [b"other"])


def test_a_broken_connection_ends_the_beating_and_not_the_process() -> None:
    def broken(_: bytes) -> None:
        raise RuntimeApiLostError("gone")

    clock = Clock()
    pulse = Pulse(clock, threaded=False)
    send = pulse.start(broken, BEAT)
    clock.now += 15
    assert pulse.beat() is None
    assert pulse.beat() is None
    with pytest.raises(RuntimeApiLostError):
        send(b"the sender meets the same break")


def test_no_beat_gets_into_a_chunk_that_is_being_sent() -> None:
    clock, events = Clock(), list[str]()
    pulse = Pulse(clock, threaded=False)
    other = threading.Thread(target=pulse.beat)

    def send(data: bytes) -> None:
        events.append(f"begin {data!r}")
        if data == b"chunk":
            other.start()
            other.join(0.05)  # long enough to get in between, were it let
        events.append(f"end {data!r}")

    guarded = pulse.start(send, BEAT)
    clock.now += 15
    guarded(b"chunk")
    other.join()
    # The chunk has begun the wait anew, so the beat that waited for it has nothing left to do.
    assert events == ["begin b'chunk'", "end b'chunk'"]
