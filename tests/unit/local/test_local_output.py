import io
import json
import os
from datetime import UTC
from pathlib import Path

import pytest

from local.console import Banner, Console, Provider
from local.lines import LineWriter
from local.log_format import ReadableLog
from vibe_cli.output import Ink

PROVIDERS = [
    Provider("ark", "ARK_API_KEY", "https://ark.example/v3", is_stand_in=False),
    Provider("new-api", "NEW_API_KEY", "http://127.0.0.1:3000/v1", is_stand_in=True),
]


def banner(*, key: str | None = "sk-vibe-x", providers: list[Provider] = PROVIDERS) -> str:
    control, sign_in = "http://127.0.0.1:5/_control", "sign in as admin with the key above as password"
    shown = Banner("http://127.0.0.1:4000", key, ".data/master-key", sign_in, ["auto-chat"], providers, control)
    return "\n".join(shown.lines())


def test_the_banner_distinguishes_real_providers_from_stand_ins() -> None:
    text = banner()
    assert "ark      real: https://ark.example/v3, with ARK_API_KEY" in text
    assert "new-api  STAND-IN: NEW_API_KEY is not set" in text


def test_the_curl_line_works_as_it_is_printed() -> None:
    text = banner()
    assert "http://127.0.0.1:4000/v1/chat/completions" in text
    assert '"Authorization: Bearer $(cat .data/master-key)"' in text
    assert '"model": "auto-chat"' in text


def test_the_banner_shows_the_page_and_how_to_sign_in() -> None:
    text = banner()
    assert "Key        sk-vibe-x  (stored in .data/master-key; set MASTER_KEY to choose your own)" in text
    assert "Admin page http://127.0.0.1:4000/ui/  (sign in as admin with the key above as password)" in text


def test_a_key_of_ones_own_is_not_printed() -> None:
    assert '"Authorization: Bearer $MASTER_KEY"' in banner(key=None)


def test_only_stand_ins_have_a_control_api() -> None:
    assert "http://127.0.0.1:5/_control/new-api/503" in banner()
    assert "_control" not in banner(providers=PROVIDERS[:1])


def test_piped_output_is_plain_and_has_the_time() -> None:
    stream = io.StringIO()
    times = iter([10.0, 11.26])
    Console(stream, clock=lambda: next(times), environ={}).step("done")
    assert stream.getvalue() == "  1.3 s  done\n"


DECISION = {
    "level": "INFO",
    "message": "ROUTING DECISION",
    "timestamp": "2026-11-28T10:00:00Z",
    "selected_model": "auto-chat",
    "deployment": "new-api/gpt-5",
    "attempts": [
        {"deployment": "cliproxyapi/claude", "verdict": "transient", "status": 503, "ms": 12},
        {"deployment": "new-api/gpt-5", "verdict": "ok", "status": 200, "ms": 90},
    ],
    "status": 200,
    "stream": True,
    "ttft_ms": 87,
    "total_ms": 1240,
    "prompt_tokens": 9,
    "completion_tokens": 30,
}


@pytest.mark.parametrize(
    ("line", "rendered"),
    [
        pytest.param(
            json.dumps(DECISION),
            "10:00:00  auto-chat → new-api/gpt-5  after cliproxyapi/claude transient 503 (12 ms)  first token 87 ms  "
            "total 1.2 s  9 + 30 tokens  200",
            id="a request",
        ),
        pytest.param(
            '{"level": "WARNING", "message": "TABLE UNREACHABLE", "table": "keys", "service": "VIBE-ROUTER"}',
            "WARNING TABLE UNREACHABLE table=keys",
            id="a warning",
        ),
        pytest.param('{"_aws": {}, "Requests": 1}', None, id="a metric"),
        pytest.param("Traceback (most recent call last):", "Traceback (most recent call last):", id="text"),
        pytest.param('{"cut', '{"cut', id="broken JSON"),
        pytest.param("[1]", "[1]", id="other JSON"),
    ],
)
def test_a_readable_log_has_one_line_per_request(line: str, rendered: str | None) -> None:
    written: list[bytes] = []
    ReadableLog(written.append, Ink(io.StringIO()), UTC).write(f"{line}\n".encode())
    assert b"".join(written).decode() == ("" if rendered is None else f"{rendered}\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        pytest.param({"TERM": "xterm"}, True, id="a terminal has colour"),
        pytest.param({"TERM": "dumb"}, False, id="but for a dumb one"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="or one that does not want it"),
    ],
)
def test_colour(environ: dict[str, str], coloured: bool) -> None:
    stream = Terminal()
    Console(stream, environ=environ).note("written")
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_lines_come_out_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        writer = LineWriter(file.fileno())
        for number in range(1000):
            writer.write(b"line %d\n" % number)
        writer.close(timeout=10)
    assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(1000))


def test_a_reader_that_left_or_does_not_read_blocks_no_one() -> None:
    reading, writing = os.pipe()
    slow = LineWriter(writing)
    slow.write(b"x" * 1_000_000)  # more than a pipe holds
    slow.write(b"y")
    slow.close(timeout=0.01)
    os.close(reading)
    slow.close(timeout=10)
    slow.write(b"z")
    os.close(writing)
