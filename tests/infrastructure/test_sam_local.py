"""`make sam-local`, as far as it goes without Docker: which variables of this machine the functions get."""

import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.build import SAM
from scripts.sam_local import (
    SERVED_TEMPLATE,
    Reach,
    SamLocalError,
    built_template,
    containers_reach,
    offline,
    overridden_base_urls,
    with_local_environment,
)
from tests.infrastructure.expanded import ROOT, written


def test_the_machines_aws_account_stays_outside() -> None:
    variables = offline(
        {"PATH": "/bin", "AWS_PROFILE": "work", "AWS_SECRET_ACCESS_KEY": "hidden", "DOCKER_HOST": "unix:///x"}
    )
    assert "hidden" not in variables.values()
    assert "AWS_PROFILE" not in variables
    assert variables["AWS_SHARED_CREDENTIALS_FILE"] == variables["AWS_CONFIG_FILE"] == os.devnull
    assert (variables["PATH"], variables["DOCKER_HOST"]) == ("/bin", "unix:///x")


def test_a_functions_environment_is_replaced_and_the_template_left_as_it_was() -> None:
    template: dict[str, Any] = {
        "Parameters": {"Architecture": {"Type": "String", "Default": "arm64"}, "MemorySize": {"Default": 512}},
        "Resources": {
            "F": {"Type": "T", "Properties": {"Handler": "h", "Environment": {"Variables": {"A": {"Ref": "Table"}}}}},
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
        },
    }
    changed = with_local_environment(template, "x86_64", {"F": {"A": "name"}})
    assert changed["Resources"]["F"]["Properties"] == {"Handler": "h", "Environment": {"Variables": {"A": "name"}}}
    assert changed["Parameters"]["Architecture"]["Default"] == "x86_64"
    assert changed["Parameters"]["MemorySize"] == {"Default": 512}
    assert changed["Resources"]["Table"] is template["Resources"]["Table"]
    assert template["Resources"]["F"]["Properties"]["Environment"] == {"Variables": {"A": {"Ref": "Table"}}}
    assert template["Parameters"]["Architecture"]["Default"] == "arm64"


def test_a_missing_docker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SamLocalError, match="Docker is needed"):
        containers_reach()


POOL = '{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}'
IPV6_POOL = '{"Subnet":"fd00::/64","Gateway":"fd00::1"}'


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a `docker` on PATH that tells of this system and of these address pools of its bridge."""

    def put(system: str, pools: str = "[]", status: int = 0) -> None:
        program = tmp_path / "docker"
        program.write_text(
            f'#!/bin/sh\n[ {status} = 0 ] || {{ echo "a hint" >&2; echo "no daemon" >&2; exit {status}; }}\n'
            f"case \"$1\" in info) echo '{system}' ;; network) echo '{pools}' ;; esac\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


@pytest.mark.parametrize(
    ("platform", "system", "pools", "expected"),
    [
        pytest.param("linux", "Debian 12", f"[{POOL}]", Reach("172.17.0.1", "172.17.0.1"), id="the bridge, on Linux"),
        pytest.param(
            "linux",
            "Debian 12",
            '[{"Subnet":"172.30.4.0/24"}]',
            Reach("172.30.4.1", "172.30.4.1"),
            id="the bridge before its first container",
        ),
        pytest.param(
            "linux", "Debian 12", f"[{IPV6_POOL},{POOL}]", Reach("172.17.0.1", "172.17.0.1"), id="the bridge's IPv4"
        ),
        pytest.param(
            "linux", "Docker Desktop", "[]", Reach("127.0.0.1", "host.docker.internal"), id="Docker Desktop on Linux"
        ),
        pytest.param(
            "darwin", "Docker Desktop", "[]", Reach("127.0.0.1", "host.docker.internal"), id="Docker Desktop on a Mac"
        ),
        pytest.param("darwin", "Alpine", "[]", Reach("127.0.0.1", "host.docker.internal"), id="another one on a Mac"),
    ],
)
def test_the_embedded_aws_listens_where_containers_reach_it_and_others_do_not(
    platform: str,
    system: str,
    pools: str,
    expected: Reach,
    docker: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker(system, pools)
    monkeypatch.setattr(sys, "platform", platform)
    assert containers_reach() == expected


@pytest.mark.parametrize(
    ("system", "pools", "status", "variables"),
    [
        pytest.param("Debian 12", "[]", 1, r"does not answer \(no daemon\)\. Start it", id="no daemon"),
        pytest.param("", "[]", 0, "does not answer", id="no daemon, of which docker makes no error"),
        pytest.param("Debian 12", f"[{IPV6_POOL}]", 0, "no IPv4 address", id="a bridge without IPv4"),
    ],
)
def test_an_unsuitable_docker_is_reported(
    system: str, pools: str, status: int, variables: str, docker: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(system, pools, status)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SamLocalError, match=variables):
        containers_reach()


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        pytest.param("http://127.0.0.1:8317/v1", "http://host.docker.internal:8317/v1", id="loopback"),
        pytest.param("http://localhost/v1", "http://host.docker.internal/v1", id="a name for loopback"),
        pytest.param("http://[::1]:3000/v1?a=b", "http://host.docker.internal:3000/v1?a=b", id="loopback of IPv6"),
        pytest.param("http://me:word@localhost:1/v1", "http://me:word@host.docker.internal:1/v1", id="with a user"),
        pytest.param("https://ark.example.com/api/v3", "https://ark.example.com/api/v3", id="elsewhere"),
    ],
)
def test_a_container_calls_this_machine_by_another_name(url: str, seen: str) -> None:
    assert Reach("127.0.0.1", "host.docker.internal").seen(url) == seen


def test_only_providers_on_this_machine_are_called_elsewhere_than_routes_say() -> None:
    routes = {
        "played": "https://api.example.com/v1",
        "here": "http://127.0.0.1:8317/v1",
        "far": "https://ark.example.com/v3",
    }
    stand_ins = {"played": "http://172.17.0.1:4444/played/v1"}
    assert overridden_base_urls(routes, stand_ins, Reach("172.17.0.1", "172.17.0.1")) == {
        "played": "http://172.17.0.1:4444/played/v1",
        "here": "http://172.17.0.1:8317/v1",
    }


def test_a_port_in_use_is_reported_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "scripts.sam_local", "--port", str(port)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f'make sam-local: Port {port} is in use. Choose another: make sam-local ARGS="--port 3001"'
    ]


def test_sam_commands_take_the_template_that_the_services_write() -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["default"]
    for command in ("local_start_api", "local_invoke"):
        assert ROOT / settings[command]["parameters"]["template_file"] == SERVED_TEMPLATE
    assert "make-sam-services" in SERVED_TEMPLATE.name, "SAM's error about a missing template quotes the name"


def test_sam_invoke_without_the_services_names_the_command_to_start(tmp_path: Path) -> None:
    (tmp_path / "samconfig.toml").write_bytes((ROOT / "samconfig.toml").read_bytes())
    event = ROOT / "events/models.json"
    done = subprocess.run(
        [SAM, "local", "invoke", "-e", event],
        cwd=tmp_path,
        env=offline(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "run-make-sam-services-first" in done.stderr


def test_served_template_has_the_code_where_sam_build_puts_it() -> None:
    template = written()
    resources = built_template(template, Path("build"))["Resources"]
    assert resources["GatewayFunction"]["Properties"]["CodeUri"] == "build/GatewayFunction"
    assert resources["RouterLayer"]["Properties"]["ContentUri"] == "build/RouterLayer"
    assert resources["UsageTable"] == template["Resources"]["UsageTable"]
