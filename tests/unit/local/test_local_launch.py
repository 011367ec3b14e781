import json
import os
import sys
from pathlib import Path

import pytest

from local.launch import launch_of
from local.template import Function, TemplateError


@pytest.fixture
def function(tmp_path: Path) -> Function:
    runtime, router = tmp_path / "runtime", tmp_path / "router"
    runtime.mkdir()
    (runtime / "wrap").touch()
    (router / "python").mkdir(parents=True)
    return Function(
        name="vibe-router-work",
        handler="app.handler",
        code=tmp_path / "code",
        runtime="python3.13",
        timeout=900,
        memory=512,
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap", "PROVIDER_BASE_URLS": "{}", "ROUTES_TABLE": "routes"},
        layers=(runtime, router),
    )


def variables(function: Function, **environ: str) -> dict[str, str]:
    return dict(launch_of(function, "http://127.0.0.1:5", {"ark": "http://127.0.0.1:6/v1"}, environ).variables)


def test_the_function_runs_under_the_wrapper_of_its_layer(function: Function, tmp_path: Path) -> None:
    launch = launch_of(function, "http://127.0.0.1:5", {}, {})
    assert launch.command[:2] == (str(tmp_path / "runtime" / "wrap"), sys.executable)
    assert (launch.timeout, launch.directory) == (900, tmp_path / "code")
    assert launch.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:vibe-router-work"


def test_it_has_the_variables_of_a_lambda_environment(function: Function, tmp_path: Path) -> None:
    found = variables(function)
    assert found["_HANDLER"] == "app.handler"
    assert found["LAMBDA_TASK_ROOT"] == str(tmp_path / "code")
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "vibe-router-work"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert found["AWS_REGION"] == "us-east-1"
    assert found["PYTHONPATH"] == os.pathsep.join((str(tmp_path / "runtime"), str(tmp_path / "router" / "python")))
    assert "AWS_SAM_LOCAL" not in found, "the function must stream, as on AWS"


def test_it_has_the_templates_variables_and_the_local_overrides(function: Function) -> None:
    found = variables(function)
    assert found["ROUTES_TABLE"] == "routes"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5"
    assert json.loads(found["PROVIDER_BASE_URLS"]) == {"ark": "http://127.0.0.1:6/v1"}


def test_nothing_of_this_machine_gets_in_but_the_way_to_providers(function: Function) -> None:
    found = variables(
        function,
        PATH="/bin",
        HTTPS_PROXY="http://proxy:3128",
        SSL_CERT_FILE="/ca.pem",
        NO_PROXY="intranet",
        AWS_PROFILE="production",
        AWS_ACCESS_KEY_ID="AKIAREAL",
        AWS_SESSION_TOKEN="real",
        ARK_API_KEY="real",
        HOME="/home/somebody",
    )
    assert (found["PATH"], found["HTTPS_PROXY"], found["SSL_CERT_FILE"]) == ("/bin", "http://proxy:3128", "/ca.pem")
    assert found["NO_PROXY"].split(",") == ["intranet", "127.0.0.1", "localhost", "::1"]
    assert found["AWS_ACCESS_KEY_ID"] == "local"
    assert not {"AWS_PROFILE", "ARK_API_KEY", "HOME"} & found.keys()
    assert not [value for value in found.values() if "real" in value.lower()]


@pytest.mark.parametrize("wrapper", ["", "/opt/missing", "wrap"])
def test_a_function_without_a_wrapper_is_rejected(function: Function, wrapper: str) -> None:
    function.environment["AWS_LAMBDA_EXEC_WRAPPER"] = wrapper  # type: ignore[index] # the fixture's is a plain dict
    with pytest.raises(TemplateError, match="AWS_LAMBDA_EXEC_WRAPPER"):
        variables(function)
