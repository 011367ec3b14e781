"""`make sam-local`, as far as it goes without Docker: what the functions are told of this machine, and what not."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.sam_local import containers_reach, offline, with_local_environment


def test_the_machines_aws_account_stays_outside() -> None:
    told = offline(
        {"PATH": "/bin", "AWS_PROFILE": "work", "AWS_SECRET_ACCESS_KEY": "hidden", "DOCKER_HOST": "unix:///x"}
    )
    assert "hidden" not in told.values()
    assert "AWS_PROFILE" not in told
    assert told["AWS_SHARED_CREDENTIALS_FILE"] == told["AWS_CONFIG_FILE"] == os.devnull
    assert (told["PATH"], told["DOCKER_HOST"]) == ("/bin", "unix:///x")


def test_a_functions_environment_is_replaced_and_the_template_left_as_it_was() -> None:
    template: dict[str, Any] = {
        "Resources": {
            "F": {"Type": "T", "Properties": {"Handler": "h", "Environment": {"Variables": {"A": {"Ref": "Table"}}}}},
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
        }
    }
    changed = with_local_environment(template, {"F": {"A": "name"}})
    assert changed["Resources"]["F"]["Properties"] == {"Handler": "h", "Environment": {"Variables": {"A": "name"}}}
    assert changed["Resources"]["Table"] is template["Resources"]["Table"]
    assert template["Resources"]["F"]["Properties"]["Environment"] == {"Variables": {"A": {"Ref": "Table"}}}


def test_without_docker_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="Docker is needed"):
        containers_reach()


def _docker(directory: Path, system: str, status: int = 0) -> None:
    program = directory / "docker"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in info) echo "{system}" ;; *) echo 172.17.0.1 ;; esac\n'
        f'[ "$1" = info ] || {{ [ {status} = 0 ] || echo "no daemon" >&2; exit {status}; }}\n'
    )
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("platform", "system", "expected"),
    [
        pytest.param("linux", "Debian GNU/Linux 12", ("172.17.0.1", "172.17.0.1"), id="the bridge, on Linux"),
        pytest.param("linux", "Docker Desktop", ("127.0.0.1", "host.docker.internal"), id="Docker Desktop on Linux"),
        pytest.param("darwin", "Docker Desktop", ("127.0.0.1", "host.docker.internal"), id="Docker Desktop on a Mac"),
    ],
)
def test_the_embedded_aws_listens_where_containers_reach_it_and_others_do_not(
    platform: str, system: str, expected: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _docker(tmp_path, system)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert containers_reach() == expected


def test_a_daemon_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _docker(tmp_path, "", status=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no daemon\nStart it"):
        containers_reach()
