"""The local API Gateway and Lambda as a client sees them, over real sockets and processes."""

import asyncio
import json
import re
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from local.apigateway import Limits
from tests.integration.local.local_harness import in_loop, running


async def error_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the error of an answer in OpenAI's shape."""
    error: dict[str, str] = (await response.json())["error"]
    assert {"message", "type", "code"} <= error.keys()
    return error


@in_loop
async def test_a_request_becomes_an_event_and_its_answer_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.put(
            harness.base_url + "/a%2Fb/event?x=1&x=2",
            data=b"h\xc3\xa9",
            headers={"Content-Type": "text/plain", "X-Me": "y"},
        )
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"
        seen = await response.json()
        event = seen["event"]
        assert (event["httpMethod"], event["path"], event["resource"]) == ("PUT", "/a%2Fb/event", "/{proxy+}")
        assert event["pathParameters"] == {"proxy": "a%2Fb/event"}
        assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
        assert event["headers"]["X-Me"] == "y"
        assert (event["body"], event["isBase64Encoded"]) == ("hé", False)
        assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
        assert seen["trace"] == event["headers"]["X-Amzn-Trace-Id"]
        assert response.headers["x-amzn-RequestId"] == event["requestContext"]["requestId"]


@in_loop
async def test_binary_bodies_arrive_byte_by_byte_both_ways(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.post(
            harness.base_url + "/event", data=b"\xff\x00", headers={"Content-Type": "image/png"}
        )
        event = (await response.json())["event"]
        assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
        response = await harness.client.get(harness.base_url + "/binary")
        assert await response.read() == bytes(range(256)) * 4


@in_loop
async def test_compressed_bodies_are_not_unpacked_on_the_way(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        headers = {"Content-Encoding": "gzip", "Content-Type": "image/png"}
        response = await harness.client.post(harness.base_url + "/event", data=b"not really gzip", headers=headers)
        event = (await response.json())["event"]
        assert event["headers"]["Content-Encoding"] == "gzip"
        assert event["body"] == "bm90IHJlYWxseSBnemlw"


@in_loop
async def test_a_client_may_ask_before_it_sends(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.post(harness.base_url + "/event", data=b"abc", expect100=True)
        assert (await response.json())["event"]["body"] == "abc"


@in_loop
async def test_each_part_arrives_when_it_is_sent_and_not_at_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        await strings.order("begin")
        for number in range(3):
            await strings.order(f"part {number}", reply="sent")
            response = await request
            assert await response.content.readline() == f"part {number}\n".encode()
            assert not response.content.at_eof()
        await strings.order("end")
        assert await response.content.read() == b""
        assert response.headers["Transfer-Encoding"] == "chunked"


@in_loop
async def test_a_hundred_streams_at_once_arrive_whole(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=8) as harness:

        async def conduct() -> None:
            strings = await harness.invoked()
            await strings.order("begin")
            for number in range(5):
                await strings.order(f"part {number} of {strings.pid}", reply="sent")
            await strings.order("end")

        conductors = [asyncio.create_task(conduct()) for _ in range(100)]
        responses = await asyncio.gather(*(harness.puppet() for _ in range(100)))
        bodies = await asyncio.gather(*(response.text() for response in responses))
        await asyncio.gather(*conductors)
        for body in bodies:
            pid = body.splitlines()[0].split()[-1]
            assert body == "".join(f"part {number} of {pid}\n" for number in range(5))
        assert 1 < len({body.splitlines()[0] for body in bodies}) <= 8


@in_loop
async def test_the_function_is_not_interrupted_when_a_client_disconnects(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        await strings.order("begin")
        await strings.order("first", reply="sent")
        (await request).close()
        # Far more than sockets and the stack hold for a reader: dropped, or the function would stand still.
        for _ in range(4):
            await strings.order("bulk 4000000", reply="sent")
        await strings.order("end")
        await strings.answered()
        follower = harness.puppet()
        assert (await harness.invoked()).pid == strings.pid, "the environment serves on"
        follower.cancel()


@in_loop
async def test_a_slow_client_slows_the_function_and_misses_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        await strings.order("begin")
        await strings.order("bulk 32000000")
        await strings.order("end")
        response = await request
        assert len(await response.read()) == 32_000_000


@in_loop
async def test_a_crash_before_the_answer_is_a_502_and_the_next_call_is_served(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        response = await harness.client.get(harness.base_url + "/exit")
        assert response.status == 502
        assert (await error_of(response))["code"] == "bad_gateway"
        assert harness.reports == ["GET /{proxy+}: Runtime.ExitError: Runtime exited with status 3"]
        assert (await harness.client.get(harness.base_url + "/event")).status == 200


@in_loop
async def test_an_exception_before_the_answer_is_a_502_and_costs_no_environment(tmp_path: Path) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        first = await (await harness.client.get(harness.base_url + "/environment")).json()
        response = await harness.client.get(harness.base_url + "/raise")
        assert response.status == 502
        assert "as ordered" not in await response.text(), "the client gets no internal details"
        assert harness.reports == ["GET /{proxy+}: ValueError: as ordered"]
        second = await (await harness.client.get(harness.base_url + "/environment")).json()
        assert first["pid"] == second["pid"]


@pytest.mark.parametrize("order", ["raise", "exit"])
@in_loop
async def test_a_failure_in_the_middle_cuts_the_stream(tmp_path: Path, order: str) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        request = harness.puppet()
        strings = await harness.invoked()
        await strings.order("begin")
        await strings.order("first", reply="sent")
        response = await request
        assert await response.content.readline() == b"first\n"
        await strings.order(order)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
        (report,) = harness.reports
        assert "the response was cut" in report
        assert ("ValueError" if order == "raise" else "status 3") in report
        assert (await harness.client.get(harness.base_url + "/event")).status == 200


@pytest.mark.parametrize("path", ["/hurried/puppet", "/hurried-whole/puppet"])
@in_loop
async def test_an_answer_that_is_too_late_is_a_504_and_the_function_runs_on(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, concurrency=1) as harness:
        request = harness.puppet(path)
        strings = await harness.invoked()
        response = await request
        assert response.status == 504
        assert (await error_of(response))["code"] == "gateway_timeout"
        await strings.order("too late")
        await strings.answered()
        assert (await harness.client.get(harness.base_url + "/event")).status == 200


@in_loop
async def test_a_stream_that_outlasts_its_route_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await harness.client.get(harness.base_url + "/event")  # starts the environment
        request = harness.puppet("/hurried/puppet")
        strings = await harness.invoked()
        await strings.order("begin")
        await strings.order("first", reply="sent")
        response = await request
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        assert "exceeded the route's timeout" in harness.reports[0]


@in_loop
async def test_a_stream_that_falls_silent_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(idle=1.0)) as harness:
        await harness.client.get(harness.base_url + "/event")  # starts the environment
        request = harness.puppet()
        strings = await harness.invoked()
        await strings.order("begin")
        await strings.order("first", reply="sent")
        response = await request
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        assert "it was silent for 1 s" in harness.reports[0]


@in_loop
async def test_bodies_over_the_limits_are_rejected_before_they_cost_an_invocation(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for data in (b"x" * (10 * 2**20 + 1), b"x" * (6 * 2**20)):
            response = await harness.client.post(harness.base_url + "/event", data=BytesIO(data))
            assert response.status == 413
            error = await error_of(response)
            assert "10 MB" in error["message"]
            assert "6 MB" in error["message"]
        assert not harness.service.environments
        response = await harness.client.post(harness.base_url + "/event", data=BytesIO(b"x" * (5 * 2**20)))
        assert len((await response.json())["event"]["body"]) == 5 * 2**20


@in_loop
async def test_a_body_without_a_length_is_limited_as_it_arrives(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(body=1000)) as harness:
        reader, writer = await asyncio.open_connection(*harness.base_url.removeprefix("http://").split(":"))
        writer.write(b"POST /event HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"200\r\n" + b"x" * 512 + b"\r\n200\r\n" + b"x" * 512 + b"\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()


@in_loop
async def test_answers_that_are_not_streamed_have_lambdas_limit(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.get(harness.base_url + "/large", params={"size": str(7 * 2**20)})
        assert len(await response.read()) == 7 * 2**20, "a streamed one has none"


@in_loop
async def test_a_streamed_answer_on_a_buffered_route_is_malformed(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.get(harness.base_url + "/whole/event")
        assert response.status == 502
        assert "malformed response" in harness.reports[0]


@in_loop
async def test_a_plain_result_on_a_streamed_route_is_malformed(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        response = await harness.client.get(harness.base_url + "/not-a-result")
        assert response.status == 502
        assert "ends before the delimiter" in harness.reports[0]


@in_loop
async def test_a_prelude_must_end_within_16_kb(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        fits = await harness.client.get(harness.base_url + "/prelude", params={"size": "7000"})
        assert (fits.status, await fits.text()) == (200, "z")
        response = await harness.client.get(harness.base_url + "/prelude", params={"size": "17000"})
        assert response.status == 502


@in_loop
async def test_statuses_without_a_body_have_none(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for status in (204, 304):
            response = await harness.client.get(harness.base_url + "/status", params={"status": str(status)})
            assert (response.status, await response.read()) == (status, b"")
        response = await harness.client.head(harness.base_url + "/status", params={"status": "200"})
        assert (response.status, await response.read()) == (200, b"")
        unauthorised = await harness.client.get(harness.base_url + "/status", params={"status": "401"})
        assert unauthorised.headers["x-amzn-Remapped-WWW-Authenticate"] == "Bearer"


@in_loop
async def test_undeclared_paths_get_the_gateways_403(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for method, path in (("GET", "/"), ("GET", "/posted")):
            response = await harness.client.request(method, harness.base_url + path)
            assert response.status == 403
            assert "Missing Authentication Token" in (await error_of(response))["message"]
        assert not harness.service.environments


@in_loop
async def test_a_web_page_of_another_site_reaches_no_function(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            for method in ("GET", "POST", "OPTIONS"):
                response = await harness.client.request(method, harness.base_url + "/posted", headers=headers)
                assert response.status == 403
                assert (await error_of(response))["code"] == "forbidden"
                assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert not harness.service.environments


HALF_OPEN = {
    "nothing": b"",
    "half a head": b"POST /posted HTTP/1.1\r\nHost: localhost\r\n",
    "a head without its body": b"POST /posted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n123",
    "a chunk without its end": b"POST /posted HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
}


@pytest.mark.parametrize("sent", HALF_OPEN.values(), ids=HALF_OPEN)
@in_loop
async def test_a_half_open_connection_is_closed(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path, limits=Limits(receive=0.1)) as harness:
        reader, writer = await asyncio.open_connection(*harness.base_url.removeprefix("http://").split(":"))
        writer.write(sent)
        answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
        writer.close()


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "an impossible version": b"GET / HTTP/x\r\n\r\n",
    "an impossible header": b"GET / HTTP/1.1\r\nHost: localhost\r\na b: c\r\n\r\n",
    "a length that is no number": b"POST /posted HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST /posted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    "a bad chunk": b"POST /posted HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n1\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
@in_loop
async def test_malformed_http_is_a_sentence_and_no_traceback(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as harness:
        reader, writer = await asyncio.open_connection(*harness.base_url.removeprefix("http://").split(":"))
        writer.write(sent)
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        writer.close()
        assert re.match(rb"HTTP/1\.[01] 400 ", head)
        assert json.loads(body)["error"]["message"].startswith("Malformed HTTP request: ")
        assert [report for report in harness.reports if "\n" in report] == []
        assert len(harness.reports) == 1
    assert caplog.text == ""
    assert "Traceback" not in "".join(capfd.readouterr())


@in_loop
async def test_urls_may_carry_the_stage(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        event = (await (await harness.client.get(harness.base_url + "/prod/event")).json())["event"]
        assert (event["path"], event["requestContext"]["path"]) == ("/event", "/prod/event")


@in_loop
async def test_the_functions_output_comes_out_line_by_line(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await harness.client.get(harness.base_url + "/log")
        await harness.service.stop()
        assert harness.logged == b"one line\n  and another\nwithout an end\n"


@in_loop
async def test_requests_on_one_connection_are_answered_in_turn(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        reader, writer = await asyncio.open_connection(*harness.base_url.removeprefix("http://").split(":"))
        for path in ("/status?status=201", "/status?status=202"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201")
        await reader.readuntil(b"0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
        writer.close()
