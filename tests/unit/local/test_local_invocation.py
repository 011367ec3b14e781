import asyncio

import pytest

from local.invocation import FunctionFailedError, Payload


def test_parts_are_read_in_order_and_the_end_is_empty() -> None:
    async def scenario() -> list[bytes]:
        payload = Payload()
        payload.feed(b"a")
        payload.feed(b"b")
        read = [await payload.read()]
        waiting = asyncio.create_task(payload.read())
        await asyncio.sleep(0)
        payload.feed(b"c")
        read.append(await waiting)
        payload.end()
        read.extend([await payload.read(), await payload.read()])
        return read

    assert asyncio.run(scenario()) == [b"ab", b"c", b"", b""]


def test_data_before_a_failure_is_read_first() -> None:
    async def scenario() -> None:
        payload = Payload()
        payload.feed(b"half")
        payload.fail(FunctionFailedError("Runtime.ExitError", "gone"))
        assert await payload.read() == b"half"
        with pytest.raises(FunctionFailedError, match=r"Runtime\.ExitError: gone"):
            await payload.read()

    asyncio.run(scenario())


def test_a_failure_after_the_end_is_ignored() -> None:
    async def scenario() -> bytes:
        payload = Payload()
        payload.end()
        payload.fail(FunctionFailedError("Runtime.ExitError", "gone"))
        return await payload.read()

    assert asyncio.run(scenario()) == b""


def test_a_slow_reader_makes_the_function_wait_and_then_go_on() -> None:
    async def scenario() -> list[bool]:
        flow: list[bool] = []
        payload = Payload()
        payload.on_flow(flow.append)
        for _ in range(3):
            payload.feed(bytes(600_000))
        assert flow == [False], "asked to wait once, above a megabyte"
        assert len(await payload.read()) == 1_800_000
        return flow

    assert asyncio.run(scenario()) == [False, True]


def test_unread_output_is_neither_buffered_nor_blocked() -> None:
    async def scenario() -> list[bool]:
        flow: list[bool] = []
        payload = Payload()
        payload.on_flow(flow.append)
        payload.feed(bytes(2_000_000))
        payload.drop()
        for _ in range(5):
            payload.feed(bytes(2_000_000))
        assert not payload.ended
        return flow

    assert asyncio.run(scenario()) == [False, True]
