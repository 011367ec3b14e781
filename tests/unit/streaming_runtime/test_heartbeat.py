import threading

import pytest

from streaming_runtime import Heartbeat
from streaming_runtime.errors import RuntimeApiLostError
from streaming_runtime.heartbeat import HeartbeatSender

BEAT = Heartbeat(15, b": beat\n\n")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_heartbeats_start_after_silence_and_repeat() -> None:
    clock, sent = Clock(), list[bytes]()
    heartbeats = HeartbeatSender(clock, threaded=False)
    send = heartbeats.start(sent.append, BEAT)
    clock.now += 14
    assert heartbeats.send_if_due() == 1
    send(b"chunk")
    clock.now += 14
    assert heartbeats.send_if_due() == 1, "a chunk begins the wait anew"
    assert sent == [b"chunk"]
    clock.now += 1
    assert heartbeats.send_if_due() == 15
    assert sent == [b"chunk", BEAT.payload]
    clock.now += 14.5
    assert heartbeats.send_if_due() == 0.5
    clock.now += 0.5
    heartbeats.send_if_due()
    assert sent == [b"chunk", BEAT.payload, BEAT.payload]


def test_heartbeats_start_before_the_first_chunk() -> None:
    clock, sent = Clock(), list[bytes]()
    heartbeats = HeartbeatSender(clock, threaded=False)
    heartbeats.start(sent.append, BEAT)
    clock.now += 15
    heartbeats.send_if_due()
    assert sent == [BEAT.payload]


def test_a_long_sleep_causes_one_heartbeat() -> None:
    clock, sent = Clock(), list[bytes]()
    heartbeats = HeartbeatSender(clock, threaded=False)
    heartbeats.start(sent.append, BEAT)
    clock.now += 3600
    assert heartbeats.send_if_due() == 15
    assert sent == [BEAT.payload]


def test_stop_ends_heartbeats_and_the_next_stream_restarts_them() -> None:
    clock, first, second = Clock(), list[bytes](), list[bytes]()
    heartbeats = HeartbeatSender(clock, threaded=False)
    heartbeats.start(first.append, BEAT)
    heartbeats.stop()
    clock.now += 60
    assert heartbeats.send_if_due() is None
    heartbeats.start(second.append, Heartbeat(5, b"other"))
    assert heartbeats.send_if_due() == 5
    clock.now += 5
    heartbeats.send_if_due()
    assert (first, second) == ([], [b"other"])


def test_a_broken_connection_ends_heartbeats_but_not_the_process() -> None:
    def broken(_: bytes) -> None:
        raise RuntimeApiLostError("gone")

    clock = Clock()
    heartbeats = HeartbeatSender(clock, threaded=False)
    send = heartbeats.start(broken, BEAT)
    clock.now += 15
    assert heartbeats.send_if_due() is None
    assert heartbeats.send_if_due() is None
    with pytest.raises(RuntimeApiLostError):
        send(b"the sender meets the same break")


def test_no_heartbeat_lands_inside_a_chunk() -> None:
    clock, events = Clock(), list[str]()
    heartbeats = HeartbeatSender(clock, threaded=False)
    other = threading.Thread(target=heartbeats.send_if_due)

    def send(data: bytes) -> None:
        events.append(f"begin {data!r}")
        if data == b"chunk":
            other.start()
            other.join(0.05)  # long enough to get in between, were it let
        events.append(f"end {data!r}")

    guarded = heartbeats.start(send, BEAT)
    clock.now += 15
    guarded(b"chunk")
    other.join()
    # The chunk has begun the wait anew, so the beat that waited for it has nothing left to do.
    assert events == ["begin b'chunk'", "end b'chunk'"]
