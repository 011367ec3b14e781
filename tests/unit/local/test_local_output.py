import io
import os
from pathlib import Path

import pytest

from local.console import Banner, Console, Provider
from local.lines import LineWriter

PROVIDERS = [
    Provider("ark", "ARK_API_KEY", "https://ark.example/v3", is_stand_in=False),
    Provider("new-api", "NEW_API_KEY", "http://127.0.0.1:3000/v1", is_stand_in=True),
]


def banner(*, key: str | None = "sk-vibe-local", providers: list[Provider] = PROVIDERS) -> str:
    control = "http://127.0.0.1:5/_control"
    return "\n".join(Banner("http://127.0.0.1:4000/v1", key, ["auto-chat"], providers, control).lines())


def test_the_banner_tells_real_providers_from_stand_ins() -> None:
    text = banner()
    assert "ark      real: https://ark.example/v3, with ARK_API_KEY" in text
    assert "new-api  STAND-IN: NEW_API_KEY is not set" in text


def test_the_curl_line_works_as_it_is_printed() -> None:
    text = banner()
    assert "http://127.0.0.1:4000/v1/chat/completions" in text
    assert '"Authorization: Bearer sk-vibe-local"' in text
    assert '"model": "auto-chat"' in text


def test_a_key_of_ones_own_is_not_printed() -> None:
    assert '"Authorization: Bearer $MASTER_KEY"' in banner(key=None)


def test_only_a_stand_in_can_be_told_to_misbehave() -> None:
    assert "http://127.0.0.1:5/_control/new-api/503" in banner()
    assert "_control" not in banner(providers=PROVIDERS[:1])


def test_piped_output_is_plain_and_tells_the_time() -> None:
    stream = io.StringIO()
    times = iter([10.0, 11.26])
    Console(stream, clock=lambda: next(times), environ={}).step("done")
    assert stream.getvalue() == "  1.3 s  done\n"


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
    Console(stream, environ=environ).note("said")
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_lines_come_out_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        writer = LineWriter(file.fileno())
        for number in range(1000):
            writer.write(b"line %d\n" % number)
        writer.close(timeout=10)
    assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(1000))


def test_a_reader_that_has_gone_or_does_not_read_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    slow = LineWriter(writing)
    slow.write(b"x" * 1_000_000)  # more than a pipe holds
    slow.write(b"y")
    slow.close(timeout=0.01)
    os.close(reading)
    slow.close(timeout=10)
    slow.write(b"z")
    os.close(writing)
