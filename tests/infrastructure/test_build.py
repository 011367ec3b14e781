"""The artefacts for Lambda: complete, small, for its processor, reproducible, and they run."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts import artefacts
from scripts.artefacts import assemble_function, assemble_layer, for_target, lambda_python
from scripts.build import pack
from tests.infrastructure.expanded import ROOT

LAMBDA_PYTHON = lambda_python()
needs_lambda_python = pytest.mark.skipif(not LAMBDA_PYTHON, reason="no Python 3.13 on this machine")
needs_lambda_platform = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the layer is built for Linux on x86_64"
)

LINUX_ARM = {
    "python_version": "3.13",
    "python_full_version": "3.13.0",
    "sys_platform": "linux",
    "platform_machine": "aarch64",
}


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("layer")
    assemble_layer(out)
    return out


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("function")
    assemble_function(ROOT / "functions/gateway", out)
    return out


@pytest.fixture(scope="module")
def admin_function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("admin")
    assemble_function(ROOT / "functions/admin", out)
    return out


@pytest.mark.parametrize(
    ("marker", "wanted"),
    [
        pytest.param("", True, id="no marker"),
        pytest.param(" ; sys_platform == 'linux'", True, id="for linux"),
        pytest.param(" ; sys_platform == 'darwin'", False, id="for macOS"),
        pytest.param(" ; python_full_version >= '3.13'", True, id="for python 3.13 and later"),
        pytest.param(" ; python_full_version < '3.12'", False, id="for an older python"),
        pytest.param(" ; platform_machine == 'aarch64'", True, id="for the processor"),
        pytest.param(" ; platform_machine == 'x86_64'", False, id="for another processor"),
    ],
)
def test_lock_is_evaluated_for_lambda(marker: str, wanted: bool) -> None:
    lock = f"# a comment\nthing==1.2{marker} \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert list(for_target(lock, LINUX_ARM)) == (["thing==1.2 --hash=sha256:aa --hash=sha256:bb"] if wanted else [])


def test_compiled_modules_are_there_for_both_architectures(layer: Path) -> None:
    ending = re.compile(r"\.cpython-313-(\w+)-linux-gnu\.so$")
    machines: dict[str, set[str]] = {"aarch64": set(), "x86_64": set()}
    for path in layer.rglob("*.so"):
        found = ending.search(path.name)
        assert found, path.name
        machines[found[1]].add(ending.sub("", str(path.relative_to(layer))))
        elf_machine = int.from_bytes(path.read_bytes()[18:20], "little")
        assert elf_machine == {"aarch64": 183, "x86_64": 62}[found[1]], path.name
    assert machines["aarch64"] == machines["x86_64"] != set()


def test_layer_has_the_router_and_nothing_unused(layer: Path) -> None:
    site = layer / "python"
    sources = {path.relative_to(ROOT / "layers/router") for path in (ROOT / "layers/router/vibe_router").rglob("*.py")}
    assert sources <= {path.relative_to(site) for path in (site / "vibe_router").rglob("*.py")}
    assert not [*site.glob("*.dist-info"), *site.glob("*/tests"), *site.glob("bin"), *site.rglob("*.pyi")]
    assert not [path for path in site.iterdir() if path.name in {"boto3", "botocore", "moto", "pip", "pytest", "yaml"}]


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        stat = path.stat()
        digest.update(f"{path.relative_to(directory)} {stat.st_mode:o} {stat.st_mtime}\n".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def test_builds_are_reproducible(layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy_libraries(site: Path) -> None:  # pip, which takes as long as all the rest, checks their hashes
        shutil.copytree(layer / "python", site, ignore=shutil.ignore_patterns("__pycache__", "vibe_router"))

    monkeypatch.setattr(artefacts, "install_libraries", copy_libraries)
    again = tmp_path / "somewhere/else"
    assemble_layer(again)
    assert _digest(again) == _digest(layer)
    assert pack(again, tmp_path / "2.zip").sha256 == pack(layer, tmp_path / "1.zip").sha256


def test_gateway_is_below_15_mb_zipped(layer: Path, function: Path, tmp_path: Path) -> None:
    zipped = [pack(path, tmp_path / f"{path.name}.zip").zipped for path in (layer, function)]
    # 1 MB is more than the streaming runtime will ever need.
    assert sum(zipped) + 1_000_000 < 15_000_000


def test_zip_has_the_executable_bit_and_no_time(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    script, data = tmp_path / "in/script", tmp_path / "in/data"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    data.write_text("1")
    artefact = pack(tmp_path / "in", tmp_path / "out.zip")
    assert (artefact.name, artefact.files, artefact.unzipped) == ("in", 2, 11)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    assert entries["script"].external_attr >> 16 == 0o100755
    assert entries["data"].external_attr >> 16 == 0o100644
    assert {entry.date_time for entry in entries.values()} == {(1980, 1, 1, 0, 0, 0)}


@needs_lambda_python
def test_bytecode_is_precompiled_and_unchecked(layer: Path, function: Path, admin_function: Path) -> None:
    for root in (layer, function, admin_function):
        sources = list(root.rglob("*.py"))
        assert sources
        for source in sources:
            cached = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
            flags = int.from_bytes(cached.read_bytes()[4:8], "little")
            assert flags == 0b01, f"{cached}: hash-based and unchecked"


# Run by Python 3.13 with nothing but the artefacts on its path.
PROGRAM = """
import importlib, json, os, pkgutil, sys
import vibe_router
names = [m.name for m in pkgutil.walk_packages(vibe_router.__path__, "vibe_router.")]
for name in names:
    importlib.import_module(name)
from gateway import app
from admin import app as admin
from streaming_runtime import Context
page, described = (
    admin.handler({"path": path, "httpMethod": "GET"}, Context("id", 4_000_000_000_000))["statusCode"]
    for path in ("/ui/", "/ui/openapi.json")
)
import httpcore, pydantic
from aws_lambda_powertools import Logger, Metrics
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.secrets import secrets_client
dynamodb, secrets = dynamodb_client(), secrets_client()
dynamodb.put_item(TableName="t", Item={"id": {"S": "a"}, "n": {"N": "1"}})
class Model(pydantic.BaseModel):
    n: int
logger = Logger(service="s")
logger.info("logged", extra={"n": 1})
metrics = Metrics(namespace="N", service="s")
metrics.add_metric(name="Requests", unit="Count", value=1)
metrics.flush_metrics()
from urllib.parse import urlsplit
with httpcore.ConnectionPool() as pool:
    ping = pool.request("GET", os.environ["AWS_ENDPOINT_URL"] + "/moto-api/").status
places = {n: getattr(m, "__file__", None) or "" for n, m in sys.modules.items() if "." not in n}
print(json.dumps({
    "imported": len(names),
    "item": dynamodb.get_item(TableName="t", Key={"id": {"S": "a"}})["Item"],
    "secret": secrets.get_secret_value(SecretId="s")["SecretString"],
    "model": Model.model_validate_json('{"n": 2}').n,
    "ping": ping,
    "handler": callable(app.handler),
    "page": page,
    "described": described,
    "places": places,
}))
"""


@pytest.fixture
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@needs_lambda_python
@needs_lambda_platform
def test_artefacts_run_on_lambdas_python(layer: Path, function: Path, admin_function: Path, aws: str) -> None:
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
    session.client("dynamodb", endpoint_url=aws).create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    session.client("secretsmanager", endpoint_url=aws).create_secret(Name="s", SecretString="hidden")
    path = [function, admin_function, layer / "python", ROOT / "layers/streaming_runtime"]
    assert LAMBDA_PYTHON
    done = subprocess.run(
        [LAMBDA_PYTHON, "-S", "-W", "error::ImportWarning", "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ENDPOINT_URL": aws,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "ROUTES_TABLE": "t",
            "STATE_TABLE": "t",
            "KEYS_TABLE": "t",
            "LEDGER_TABLE": "t",
            "USAGE_TABLE": "t",
            "HISTORY_TABLE": "t",
            "AUDIT_TABLE": "t",
            "ALERTS_TABLE": "t",
            "CACHE_TABLE": "t",
            "RESPONSES_TABLE": "t",
            "SECRET_ID": "s",
        },
    )
    assert done.returncode == 0, done.stderr
    logged, emitted, result = (json.loads(line) for line in done.stdout.splitlines())
    assert logged["message"] == "logged"
    assert emitted["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "Requests", "Unit": "Count"}]
    places: dict[str, Any] = result.pop("places")
    assert result.pop("imported") > 20
    assert result == {
        "item": {"id": {"S": "a"}, "n": {"N": "1"}},
        "secret": "hidden",
        "model": 2,
        "ping": 200,
        "handler": True,
        "page": 200,
        "described": 200,
    }
    libraries = {"httpcore", "pydantic", "aws_lambda_powertools", "vibe_router", "certifi"}
    assert {places[name].startswith(str(layer)) for name in libraries} == {True}


def test_sam_build_installs_only_what_assembling_needs() -> None:
    makefiles = [*ROOT.glob("functions/*/Makefile"), *ROOT.glob("layers/*/Makefile")]
    installing = {script for file in makefiles for script in re.findall(r"scripts/[\w.]+", file.read_text())}
    assert installing == {"scripts/artefacts.sh"}
    assert "venv.sh build" in (ROOT / "scripts/artefacts.sh").read_text()
    lock = (ROOT / "requirements/build.txt").read_text()
    assert re.findall(r"^([a-z-]+)==", lock, re.MULTILINE) == ["packaging"]
