import asyncio

import pytest

from local.invocation import Answer, FunctionFailedError


def test_parts_are_read_in_order_and_the_end_is_empty() -> None:
    async def scenario() -> list[bytes]:
        answer = Answer()
        answer.feed(b"a")
        answer.feed(b"b")
        read = [await answer.read()]
        waiting = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.feed(b"c")
        read.append(await waiting)
        answer.end()
        read.extend([await answer.read(), await answer.read()])
        return read

    assert asyncio.run(scenario()) == [b"ab", b"c", b"", b""]


def test_what_came_before_a_failure_is_read_before_it_is_told() -> None:
    async def scenario() -> None:
        answer = Answer()
        answer.feed(b"half")
        answer.fail(FunctionFailedError("Runtime.ExitError", "gone"))
        assert await answer.read() == b"half"
        with pytest.raises(FunctionFailedError, match=r"Runtime\.ExitError: gone"):
            await answer.read()

    asyncio.run(scenario())


def test_a_failure_after_the_end_is_nobodys_concern() -> None:
    async def scenario() -> bytes:
        answer = Answer()
        answer.end()
        answer.fail(FunctionFailedError("Runtime.ExitError", "gone"))
        return await answer.read()

    assert asyncio.run(scenario()) == b""


def test_a_slow_reader_makes_the_function_wait_and_then_go_on() -> None:
    async def scenario() -> list[bool]:
        flow: list[bool] = []
        answer = Answer()
        answer.paced_by(flow.append)
        for _ in range(3):
            answer.feed(bytes(600_000))
        assert flow == [False], "asked to wait once, above a megabyte"
        assert len(await answer.read()) == 1_800_000
        return flow

    assert asyncio.run(scenario()) == [False, True]


def test_what_nobody_reads_is_neither_held_nor_held_up() -> None:
    async def scenario() -> list[bool]:
        flow: list[bool] = []
        answer = Answer()
        answer.paced_by(flow.append)
        answer.feed(bytes(2_000_000))
        answer.drop()
        for _ in range(5):
            answer.feed(bytes(2_000_000))
        assert not answer.ended
        return flow

    assert asyncio.run(scenario()) == [False, True]
