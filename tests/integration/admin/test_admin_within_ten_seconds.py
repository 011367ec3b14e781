"""An administrator's change is effective in every environment of the gateway after ten seconds."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.integration.admin.harness import Admin
from tests.unit.store.fakes import Time
from tests.unit.store.hooks import hooked
from vibe_router.core.errors import ApiError
from vibe_router.pipeline.admission import Admission
from vibe_router.store.keys import KeyDirectory
from vibe_router.store.ledger import LedgerStore

OWN = "sk-a-key-of-somebody-s-own-choice"
OTHER = "sk-the-key-that-comes-after-that"
JUST_BEFORE = 0.001  # seconds


class Gateway:
    """One environment of the gateway, as far as it lets callers in."""

    def __init__(self, admin: Admin) -> None:
        client, tables, clock = admin.dynamodb, admin.variables, admin.time.clock
        ledgers = LedgerStore(client, tables["LEDGER_TABLE"], clock)
        keys = KeyDirectory(client, tables["KEYS_TABLE"], tables["LEDGER_TABLE"], clock, on_ledger_read=ledgers.accept)
        self._admission = Admission(lambda: None, keys, ledgers, clock)

    def tells(self, secret: str) -> Any:
        """Return the code that a key is refused with, else what it may do: auto-chat, and the limits that it has."""
        try:
            caller = self._admission.caller({"authorization": f"Bearer {secret}"})
        except ApiError as error:
            return error.code
        limits = {name.partition("#")[0]: limits for name, limits in caller.ledgers.items() if limits}
        return caller.may_use("auto-chat"), {
            whose: (each.max_budget, each.rpm) for whose, each in sorted(limits.items())
        }


FREE: Any = (True, {})
Case = tuple[Mapping[str, Any], Mapping[str, Any], str, Mapping[str, Any], Any, Any]
KEY, TEAM = {"key": OWN}, {"team_id": "blue"}
CASES: dict[str, Case] = {
    # the settings of the team and the key, the change, and the key's responses before and after it
    "a key is blocked": ({}, {}, "key/block", KEY, FREE, "key_blocked"),
    "a key is unblocked": ({}, {"blocked": True}, "key/unblock", KEY, "key_blocked", FREE),
    "a key is deleted": ({}, {}, "key/delete", {"keys": [OWN]}, FREE, "key_deleted"),
    "a key is rotated": ({}, {}, "key/regenerate", KEY, FREE, "key_deleted"),
    "a key's models change": ({}, {}, "key/update", KEY | {"models": ["auto-claude"]}, FREE, (False, {})),
    "a key gets a limit": ({}, {}, "key/update", KEY | {"rpm_limit": 1}, FREE, (True, {"key": (None, 1)})),
    "a key's limit goes": (
        {},
        {"rpm_limit": 1},
        "key/update",
        KEY | {"rpm_limit": None},
        (True, {"key": (None, 1)}),
        FREE,
    ),
    "a team is blocked": (TEAM, TEAM, "team/block", TEAM, FREE, "key_blocked"),
    "a team is unblocked": (TEAM | {"blocked": True}, TEAM, "team/unblock", TEAM, "key_blocked", FREE),
    "a team is deleted": (TEAM, TEAM, "team/delete", {"team_ids": ["blue"]}, FREE, "key_deleted"),
    "a team's models change": (TEAM, TEAM, "team/update", TEAM | {"models": ["auto-claude"]}, FREE, (False, {})),
    "a team gets a budget": (
        TEAM,
        TEAM,
        "team/update",
        TEAM | {"max_budget": 1},
        FREE,
        (True, {"team": (10**9, None)}),
    ),
    "a key joins a blocked team": (
        TEAM | {"blocked": True},
        {},
        "key/update",
        KEY | TEAM,
        FREE,
        "key_blocked",
    ),
}


@pytest.fixture
def gateway(admin: Admin) -> Gateway:
    return Gateway(admin)


@pytest.fixture
def slow(admin: Admin) -> Callable[[float], None]:
    """Let every read of keys take so many seconds from now on, after which it tells what stood when it was sent."""
    seconds = [0.0]

    def pass_time(operation: str, _: object) -> None:
        if operation == "BatchGetItem":
            admin.time.advance(seconds[0])

    def slow(by: float) -> None:
        seconds[0] = by

    hooked(admin.dynamodb).after.append(pass_time)
    return slow


@pytest.mark.parametrize("reading", [0.0, 4.0], ids=["read at once", "read within 4 s"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_change_takes_effect_within_ten_seconds(
    admin: Admin, gateway: Gateway, time: Time, slow: Callable[[float], None], case: Case, reading: float
) -> None:
    team, key, path, body, before, after = case
    if team:
        admin.made("/team/new", **team)
    admin.made("/key/generate", key=OWN, **key)
    began = time.now
    slow(reading)
    assert gateway.tells(OWN) == before
    slow(0)
    admin.made(f"/{path}", **body)
    assert Gateway(admin).tells(OWN) == after, "an environment that has not cached it uses it at once"
    time.now = began + 10 - JUST_BEFORE
    assert gateway.tells(OWN) == before, "nothing is read before it is time"
    time.now = began + 10
    assert gateway.tells(OWN) == after


@pytest.mark.parametrize("reading", [0.0, 4.0], ids=["read at once", "read within 4 s"])
@pytest.mark.parametrize("path", ["key/generate", "key/regenerate"])
def test_a_new_key_takes_effect_within_ten_seconds_of_an_earlier_try(
    admin: Admin, gateway: Gateway, time: Time, slow: Callable[[float], None], path: str, reading: float
) -> None:
    admin.made("/key/generate", key=OTHER)
    body = {"key": OWN} if path == "key/generate" else {"key": OTHER, "new_key": OWN}
    began = time.now
    slow(reading)
    assert gateway.tells(OWN) == "invalid_api_key"
    slow(0)
    admin.made(f"/{path}", **body)
    time.now = began + 10 - JUST_BEFORE
    assert gateway.tells(OWN) == "invalid_api_key"
    time.now = began + 10
    assert gateway.tells(OWN) == FREE


def test_a_rotated_key_works_until_its_grace_period_ends(admin: Admin, gateway: Gateway, time: Time) -> None:
    admin.made("/key/generate", key=OWN)
    assert gateway.tells(OWN) == FREE
    began = time.now
    new = admin.made("/key/regenerate", key=OWN, grace_period="1m")["key"]
    assert gateway.tells(new) == FREE
    for since in (0, 10, 30, 60 - JUST_BEFORE):
        time.now = began + since
        assert gateway.tells(OWN) == FREE
    time.now = began + 60
    assert (gateway.tells(OWN), gateway.tells(new)) == ("key_expired", FREE)


@pytest.mark.parametrize("word", ["block", "delete"])
def test_blocking_a_rotated_key_blocks_its_predecessor(admin: Admin, gateway: Gateway, time: Time, word: str) -> None:
    admin.made("/key/generate", key=OWN)
    new = admin.made("/key/regenerate", key=OWN, grace_period="1h")["key"]
    assert (gateway.tells(OWN), gateway.tells(new)) == (FREE, FREE)
    admin.made(f"/key/{word}", **({"key": new} if word == "block" else {"keys": [new]}))
    time.advance(10)
    assert (gateway.tells(OWN), gateway.tells(new)) == (f"key_{word}ed".replace("ee", "e"),) * 2


def test_a_key_expires_to_the_second(admin: Admin, gateway: Gateway, time: Time) -> None:
    began = time.now
    admin.made("/key/generate", key=OWN, duration="5s")
    time.now = began + 5 - JUST_BEFORE
    assert gateway.tells(OWN) == FREE
    time.now = began + 5
    assert gateway.tells(OWN) == "key_expired"
