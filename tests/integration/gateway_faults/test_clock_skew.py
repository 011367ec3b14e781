"""Environments whose clocks are minutes apart: one cooldown, one probe, and no rest that never ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.standin import Send, Wait
from tests.integration.gateway_faults.fleet import L1, L2, Fleet, Gateway

SKEWS = [-240.0, -30.0, 30.0, 240.0]
IDS = ["four minutes behind", "half a minute behind", "half a minute ahead", "four minutes ahead"]


def cooled(fleet: Fleet, gateway: Gateway, others: list[Gateway]) -> None:
    """Let all see layer 1 healthy, and one find it failing: 5 s of rest."""
    for each in (gateway, *others):
        assert each.ask().deployment == L1
    fleet.standin.fault("cliproxyapi", "503")
    fleet.time.advance(1)
    assert gateway.ask().deployment == L2
    fleet.standin.forget()


@pytest.mark.parametrize("skew", SKEWS, ids=IDS)
def test_every_clock_respects_a_cooldown(fleet: Fleet, skew: float) -> None:
    here, there = fleet.gateway(), fleet.gateway(skew)
    cooled(fleet, here, [there])
    for _ in range(3):  # it rests for 5 s, of which this is the first to the third
        fleet.time.advance(1)
        assert [each.ask().deployment for each in (there, here)] == [L2, L2]
    assert fleet.calls(L1) == 0
    fleet.standin.heal()
    fleet.time.advance(3)
    assert [each.ask().deployment for each in (there, here)] == [L1, L1]
    assert fleet.warnings == []


@pytest.mark.parametrize("skew", SKEWS, ids=IDS)
def test_a_probe_that_fails_lengthens_its_callers_cooldown_for_every_clock(fleet: Fleet, skew: float) -> None:
    here, there = fleet.gateway(), fleet.gateway(skew)
    cooled(fleet, here, [there])
    fleet.time.advance(6)
    for _ in range(4):
        assert [each.ask().deployment for each in (there, here)] == [L2, L2]
        fleet.time.advance(1)
    assert fleet.calls(L1) == 1
    assert (fleet.state(L1)["strikes"], fleet.state(L1)["repeats"]) == (1, 1)


@contextmanager
def probing(fleet: Fleet, gateway: Gateway) -> Iterator[None]:
    """Have an environment probe layer 1, which does not answer before the end of the block."""
    answer = threading.Event()
    fleet.standin.script("cliproxyapi", [Wait(answer), Send(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n")])
    before = fleet.calls(L1)
    asking = threading.Thread(target=gateway.ask)
    asking.start()
    try:
        fleet.standin.wait_for(before + 1, "cliproxyapi")
        yield
    finally:
        answer.set()
        asking.join()


@pytest.mark.parametrize("skew", SKEWS, ids=IDS)
def test_no_clock_allows_a_second_probe(fleet: Fleet, skew: float) -> None:
    here, there = fleet.gateway(), fleet.gateway(skew)
    cooled(fleet, here, [there])
    fleet.standin.heal()
    fleet.time.advance(6)
    with probing(fleet, here):
        for _ in range(8):
            assert there.ask().deployment == L2
            fleet.time.advance(1)
        assert fleet.calls(L1) == 1


@pytest.mark.parametrize("skew", [-86_400.0 * 365, 86_400.0 * 365], ids=["a year behind", "a year ahead"])
def test_a_wrong_clock_cannot_disable_a_deployment(fleet: Fleet, skew: float) -> None:
    wrong, right = fleet.gateway(skew), fleet.gateway()
    cooled(fleet, wrong, [right])
    fleet.standin.heal()
    fleet.time.advance(7)
    right.ask()  # sees the cooldown for the first time, and counts its 5 s from here
    fleet.time.advance(6)
    assert right.ask().deployment == L1


def test_an_environment_whose_clock_is_set_back_serves(fleet: Fleet) -> None:
    gateway = fleet.gateway()
    assert gateway.ask().deployment == L1
    fleet.time.advance(-3600)
    assert [gateway.ask().deployment for _ in range(5)] == [L1] * 5
    gateway.wire.took()
    gateway.ask()
    assert gateway.wire.took() == []
