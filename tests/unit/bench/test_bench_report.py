import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.figures import Aim, Report, Table
from bench.options import Options, Peer, peer
from bench.sections import log_bytes, parted
from bench.show import as_json, as_text
from bench.size import of_distribution, of_folder, requirements

REPORT = Report(
    {"processor": "A processor", "cores": 2},
    {"calls": 5},
    {
        "calls": Table(
            "Calls",
            [{"target": "direct", "p50_ms": 0.05}, {"target": "function", "p50_ms": 1.75, "added_p50_ms": 1.7}],
            ["A note."],
            [Aim("function adds to a call, p50", 1.7, 1.5, "ms")],
        )
    },
    ["other at 127.0.0.1:1: refused"],
)


def test_on_a_terminal_columns_are_aligned_with_their_names() -> None:
    assert as_text(REPORT).splitlines() == [
        "Machine: processor A processor, cores 2",
        "",
        "Calls",
        "  target    p50 ms  added p50 ms",
        "  direct      0.05",
        "  function    1.75          1.70",
        "  A note.",
        "",
        "Aims",
        "  aim                           measured  at most  reached",
        "  function adds to a call, p50  1.7 ms    1.5 ms   NO",
        "",
        "What did not work",
        "  other at 127.0.0.1:1: refused",
    ]


def test_in_a_pipe_the_same_figures_are_json() -> None:
    reported = json.loads(json.dumps(as_json(REPORT)))
    assert reported["machine"]["cores"] == 2
    assert reported["sections"]["calls"]["rows"][1] == {"target": "function", "p50_ms": 1.75, "added_p50_ms": 1.7}
    assert reported["aims"] == [
        {"name": "function adds to a call, p50", "value": 1.7, "limit": 1.5, "unit": "ms", "reached": False}
    ]
    assert reported["failures"] == ["other at 127.0.0.1:1: refused"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=http://h:1/v1", Peer("a", "http://h:1/v1", "sk-none", "auto-chat")),
        ("a=http://h:1/v1,sk-1", Peer("a", "http://h:1/v1", "sk-1", "auto-chat")),
        ("a=https://h/v1,sk-1,gpt-5", Peer("a", "https://h/v1", "sk-1", "gpt-5")),
        ("a=http://h:1/v1,,gpt-5", Peer("a", "http://h:1/v1", "sk-none", "gpt-5")),
    ],
)
def test_a_peer_is_a_name_and_a_url_and_perhaps_a_key_and_a_model(text: str, expected: Peer) -> None:
    assert peer(text, "auto-chat") == expected


@pytest.mark.parametrize("text", ["", "a", "=http://h", "a=h:1", "a=http://h,k,m,more"])
def test_an_invalid_peer_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as other=http"):
        peer(text, "auto-chat")


def test_fewer_long_streams_are_measured_than_short_ones_but_always_some() -> None:
    options = Options(calls=2000)
    assert options.streams(100) > options.streams(2000) > 2
    assert Options(calls=1).streams(2000) == 2


def test_log_lines_are_classified() -> None:
    decision, metrics = b'{"message": "ROUTING DECISION"}\n', b'{"_aws": {}, "Requests": [1.0]}\n'
    other = b'plain words\n["a list"]\n{"message": "else"}\n'
    assert log_bytes(decision + metrics + other) == {
        "all": len(decision + metrics + other),
        "decision": len(decision),
        "metrics": len(metrics),
        "other": len(other),
    }


def test_sizes_leave_bytecode_out(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(bytes(1000))
    (tmp_path / "a.py").write_bytes(bytes(10))
    assert of_folder(tmp_path) == 10


def test_the_libraries_of_a_lock_are_weighed_where_they_are_installed(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("# comment\nhttpx==0.28.1 \\\n    --hash=sha256:00\nno-such-library==1.0 ; python_version > '4'\n")
    assert requirements(lock) == ["httpx", "no-such-library"]
    assert (of_distribution("httpx") or 0) > 100_000
    assert of_distribution("no-such-library") is None


def test_the_command_prints_json_into_a_pipe_and_writes_it_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["--only", "size", "--json", str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(file.read_text())
    weights = {row["installed"]: row["size_mb"] for row in printed["sections"]["size"]["rows"]}
    assert 0 < weights["function: our code"] < weights["function: together"] < weights["local stack: together"]


@pytest.mark.parametrize("arguments", [["--calls", "0"], ["--calls", "x"], ["--only", "no"], ["--peer", "no"]])
def test_a_wrong_argument_is_rejected(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m bench" in capsys.readouterr().err


def test_of_a_wait_only_what_falls_into_a_span_is_taken_apart() -> None:
    spans = [(0.5, 1.5), (2.0, 3.0), (4.5, 9.0)]
    assert parted([(1.0, 5.0), (5.0, 6.0), (10.0, 12.0)], spans) == [(4.0, 2.0), (1.0, 1.0), (2.0, 0.0)]
