"""The template passes cfn-lint and `sam validate`, without AWS."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.infrastructure.expanded import ROOT, TEMPLATE, written


def lint(template: Path, *regions: str) -> list[str]:
    """Return what cfn-lint reports. It is imported here because it takes most of a second."""
    from cfnlint import api
    from cfnlint.config import ManualArgs

    return [str(match) for match in api.lint_file(template, config=ManualArgs(regions=list(regions)))]


def test_cfn_lint_reports_nothing() -> None:
    assert lint(TEMPLATE, "us-east-1", "eu-central-1", "ap-southeast-1") == []


def test_cfn_lint_reports_mistakes(tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text('{"Resources": {"Table": {"Type": "AWS::DynamoDB::Tabel"}}}', encoding="utf-8")
    assert lint(broken, "us-east-1")


def test_sam_validates_the_template() -> None:
    offline = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    }
    sam = Path(sys.executable).with_name("sam")
    done = subprocess.run(
        [sam, "validate"], check=False, cwd=ROOT, env=offline, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "is a valid SAM Template" in done.stdout


@pytest.mark.parametrize("environment", ["default", "dev"])
def test_samconfig_has_the_required_settings(environment: str) -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))[environment]
    assert settings["build"]["parameters"]["build_in_source"] is True  # the Makefiles look outside their directories
    assert settings["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
    # Nothing of the stack has a fixed name but what follows from the stack's, so the two never meet.
    assert (
        settings["global"]["parameters"]["stack_name"]
        == {"default": "vibe-router", "dev": "vibe-router-dev"}[environment]
    )


def test_development_stack_overrides_existing_parameters() -> None:
    parameters = written()["Parameters"]
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    overrides = dict(pair.split("=") for pair in settings["dev"]["deploy"]["parameters"]["parameter_overrides"].split())
    assert set(overrides) <= set(parameters)
    assert overrides["MetricsNamespace"] != parameters["MetricsNamespace"]["Default"]  # else the alarms would mix


def test_every_parameter_has_a_description_and_a_default() -> None:
    for name, parameter in written()["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert "Default" in parameter, name
