"""The program: it says where it is, and ends when it should."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def program(*arguments: str, stdin: int | None = subprocess.PIPE) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Start it, and give the process and what its first line says."""
    with subprocess.Popen(
        [sys.executable, "-m", "local.standin", *arguments],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_it_prints_the_base_urls_and_serves_them() -> None:
    with program("--providers", "cliproxyapi,my-own", "--pace", "0", "--key", "k") as (process, reported):
        root = f"http://127.0.0.1:{reported['port']}"
        assert reported == {
            "port": reported["port"],
            "providers": {"cliproxyapi": f"{root}/cliproxyapi/v1", "my-own": f"{root}/my-own/v1"},
            "control": f"{root}/_control",
        }
        answer = httpx.post(
            f"{reported['providers']['my-own']}/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
            headers={"authorization": "Bearer k"},
        )
        assert answer.json()["object"] == "chat.completion"
        assert httpx.get(f"{reported['providers']['my-own']}/models").status_code == 401
        assert httpx.get(f"{reported['control']}/faults").status_code == 200
        assert process.poll() is None


def test_it_serves_only_the_given_formats() -> None:
    spoken = ("--formats", "new-api/gpt-5.2-codex=responses", "--formats", "ark=chat,embeddings")
    with program("--pace", "0", *spoken) as (_, reported):
        for provider, path, model, status in [
            ("new-api", "responses", "gpt-5.2-codex", 400),
            ("new-api", "responses", "gpt-5", 200),
            ("new-api", "chat/completions", "gpt-5.2-codex", 500),
            ("ark", "embeddings", "m", 200),
            ("ark", "responses", "m", 404),
        ]:
            answer = httpx.post(
                f"{reported['providers'][provider]}/{path}",
                json={"model": model, "input": "Hello"},
                headers={"authorization": "Bearer k"},
            )
            assert answer.status_code == status


@pytest.mark.parametrize("value", ["ark", "ark=", "=chat", "ark=chats"])
def test_an_invalid_format_list_is_reported(value: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "local.standin", "--formats", value],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert "PROVIDER[/MODEL]=FORMAT" in ended.stderr


def test_it_ends_when_its_standard_input_closes() -> None:
    with program() as (process, _):
        assert process.stdin is not None
        process.stdin.write("anything\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.stdin.close()
        process.stdin = None
        assert process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_by_a_signal_even_while_it_is_silent_to_someone(number: signal.Signals) -> None:
    with program("--pace", "0", stdin=subprocess.DEVNULL) as (process, reported):
        httpx.post(f"{reported['control']}/ark/silence")
        body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
        with socket.create_connection(("127.0.0.1", reported["port"]), timeout=5) as sock:
            sock.sendall(
                b"POST /ark/v1/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            process.send_signal(number)
            assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_port_in_use_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = subprocess.run(
            [sys.executable, "-m", "local.standin", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("standin: cannot listen on 127.0.0.1:")
    assert "Traceback" not in ended.stderr
