"""`sam deploy --guided` on the template, answered with Enter only, up to the upload."""

import click
import pytest
from click.testing import CliRunner
from moto import mock_aws
from samcli.commands.deploy import guided_context  # type: ignore[import-untyped]
from samcli.commands.deploy.guided_context import GuidedContext  # type: ignore[import-untyped]

from tests.infrastructure.expanded import TEMPLATE, written


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SAM CLI's own libraries
def test_enter_alone_answers_every_question(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(guided_context, "manage_stack", lambda **_: "bucket")
    declared = written()["Parameters"]
    guided = GuidedContext(
        template_file=str(TEMPLATE),
        stack_name="vibe-router",
        s3_bucket=None,
        image_repository=None,
        image_repositories=None,
        s3_prefix=None,
        capabilities=("CAPABILITY_IAM",),
        confirm_changeset=False,
        disable_rollback=False,
    )

    @click.command()
    def deploy() -> None:
        guided.guided_prompts(declared)

    with mock_aws():  # it looks for the repositories of a stack of this name
        done = CliRunner().invoke(deploy, input="\n" * 100)
    assert done.exception is None, done.output
    assert "has no authentication" not in done.output
    chosen = {name: each["Value"] for name, each in guided.guided_parameter_overrides.items()}
    assert chosen == {name: str(each["Default"]) for name, each in declared.items()}
