"""When the local Lambda starts, reuses, replaces and ends environments."""

import asyncio
import signal
from pathlib import Path

import pytest

from local.invocation import FunctionFailedError
from tests.integration.local.local_harness import in_loop, is_alive, running


@in_loop
async def test_an_environment_is_reused_and_a_second_started_only_for_a_second_call(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        first = harness.puppet()
        one = await harness.invoked()
        second = harness.puppet()
        two = await harness.invoked()
        assert one.pid != two.pid
        for count, (strings, request) in enumerate(((one, first), (two, second)), 1):
            await strings.order("done")
            assert await (await request).text() == "done"
            await harness.idle(count)
        for _ in range(3):
            request = harness.puppet()
            again = await harness.invoked()
            assert again.pid == two.pid, "the one used last is taken first"
            await again.order("done")
            await (await request).read()
            await harness.idle(2)


@in_loop
async def test_beyond_the_limit_calls_wait_their_turn(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=2) as harness:
        order: list[int] = []

        async def call(number: int) -> None:
            response = await harness.puppet()
            order.append(number)
            assert await response.text() == "done"

        first = [asyncio.create_task(call(number)) for number in range(2)]
        busy = [await harness.invoked() for _ in range(2)]
        rest = []
        for number in range(2, 6):
            rest.append(asyncio.create_task(call(number)))
            await asyncio.sleep(0)
        while len(harness.service.waiting) < 4:
            await asyncio.sleep(0)
        assert len(harness.service.environments) == 2
        assert harness.hands.empty()
        for _ in range(4):
            strings = busy.pop(0)
            await strings.order("done")
            busy.append(await harness.invoked())
        for strings in busy:
            await strings.order("done")
        await asyncio.gather(*first, *rest)
        assert sorted(order) == list(range(6))
        assert len(harness.service.environments) == 2


@in_loop
async def test_the_queue_is_first_come_first_served(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        harness.puppet()
        busy = await harness.invoked()
        for number in range(5):
            harness.service.invoke(
                b'{"path": "/puppet", "queryStringParameters": {"port": "%d", "n": "%d"}}' % (harness.port, number)
            )
        waiting = [invocation.event for invocation in harness.service.waiting]
        for number in range(5):
            assert b'"n": "%d"' % number in waiting[number]
            await busy.order("done")
            busy = await harness.invoked()
            assert [invocation.event for invocation in harness.service.waiting] == waiting[number + 1 :]
        await busy.order("done")


@in_loop
async def test_work_after_the_answer_keeps_the_environment_but_not_the_caller(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        request = harness.puppet(settle="1")
        strings = await harness.invoked()
        await strings.order("done", reply="answered")
        assert await (await request).text() == "done"
        follower = harness.puppet()
        await asyncio.sleep(0)
        assert harness.hands.empty()
        await strings.order("settled")
        again = await harness.invoked()
        assert again.pid == strings.pid
        await again.order("done")
        assert (await follower).status == 200


@in_loop
async def test_a_call_during_that_work_gets_a_new_environment_when_the_work_is_long(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=2) as harness:
        request = harness.puppet(settle="1")
        strings = await harness.invoked()
        await strings.order("done", reply="answered")
        await (await request).read()
        harness.puppet()
        other = await harness.invoked()
        assert other.pid != strings.pid
        await strings.order("settled")


@in_loop
async def test_an_idle_environment_ends(tmp_path: Path) -> None:
    async with running(tmp_path, idle_seconds=0.1) as harness:
        await harness.service.warm()
        (environment,) = harness.service.environments
        await environment.ended
        assert not harness.service.environments
        assert environment.pid is not None
        assert not is_alive(environment.pid)
        assert (await harness.client.get(harness.base_url + "/event")).status == 200


@in_loop
async def test_an_environment_killed_while_idle_is_replaced_unseen(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await harness.service.warm()
        (environment,) = harness.service.environments
        environment.kill()
        await environment.ended
        response = await harness.client.get(harness.base_url + "/environment")
        assert (await response.json())["pid"] != environment.pid


@in_loop
async def test_an_environment_killed_during_a_call_is_replaced_and_its_caller_gets_an_error(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        waiting = harness.puppet()
        (environment,) = harness.service.environments
        environment.kill()
        assert (await request).status == 502
        assert f"signal {signal.SIGKILL.name}" in harness.reports[0]
        again = await harness.invoked()
        assert again.pid != strings.pid
        await again.order("done")
        assert (await waiting).status == 200


@in_loop
async def test_a_function_that_cannot_start_reports_the_reason_and_is_not_restarted_forever(tmp_path: Path) -> None:
    async with running(tmp_path, FAIL_TO_START="1") as harness:
        with pytest.raises(FunctionFailedError, match="cannot start"):
            await harness.service.warm()
        responses = await asyncio.gather(*(harness.client.get(harness.base_url + "/event") for _ in range(3)))
        assert [response.status for response in responses] == [502, 502, 502]
        assert b"RuntimeError: cannot start" in harness.logged
        while harness.service.environments:
            await asyncio.wait([environment.ended for environment in harness.service.environments])


@in_loop
async def test_a_function_that_times_out_is_killed_and_its_caller_gets_an_error(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1, timeout=0.5) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        response = await request
        assert response.status == 502
        assert "Task timed out after 0.50 seconds" in harness.reports[0]
        assert b"Task timed out after 0.50 seconds" in harness.logged
        await strings.gone()
        assert not is_alive(strings.pid)


@in_loop
async def test_the_process_sees_a_lambda_environment(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        seen = await (await harness.client.get(harness.base_url + "/environment")).json()
        variables = seen["variables"]
        assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "Puppet"
        assert variables["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
        assert variables["AWS_ACCESS_KEY_ID"] == "local"
        assert Path(seen["cwd"]).name == "puppet"


@in_loop
async def test_stopping_lets_work_after_an_answer_finish(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        request = harness.puppet(settle="1")
        strings = await harness.invoked()
        await strings.order("done", reply="answered")
        await (await request).read()
        stopping = asyncio.create_task(harness.service.stop())
        await asyncio.sleep(0)
        assert is_alive(strings.pid)
        await strings.order("settled")
        await stopping
        assert not is_alive(strings.pid)
        response = await harness.client.get(harness.base_url + "/event")
        assert response.status == 502, "nothing is started any more"
