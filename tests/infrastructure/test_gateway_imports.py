"""The modules that the gateway imports at its start: each costs time and memory."""

import subprocess
import sys

from local.launch import CREDENTIALS
from local.template import read_template
from tests.infrastructure.expanded import ROOT, TEMPLATE

ABSENT = ("boto3", "botocore.session", "pydantic", "pydantic_core", "aws_xray_sdk", "urllib3", "httpx", "asyncio")
OPT_IN = (
    "access.budgets",
    "access.jwt",
    "access.tokens",
    "pipeline.budgets",
    "pipeline.token_callers",
    "guards",
    "pipeline.guarding",
)
PATH = ("functions/gateway", "layers/router", "layers/streaming_runtime")
PROGRAM = "import sys, json, gateway.app; print('\\n'.join(sys.modules))"


def test_the_gateways_start_loads_neither_boto3_nor_pydantic_nor_the_xray_sdk() -> None:
    environment = read_template(TEMPLATE).functions["GatewayFunction"].environment
    loaded = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            **CREDENTIALS,
            **environment,
            "PYTHONPATH": ":".join(
                str(ROOT / each) for each in ("functions/gateway", "layers/router", "layers/streaming_runtime")
            ),
            "AWS_REGION": "us-east-1",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",  # as in Lambda, the clients are created, too
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "gateway.environment" in loaded
    assert not any("alert" in each for each in loaded), "alerts are imported once there are receivers"
    assert not any("complexity" in each for each in loaded), "routing by complexity is imported for a model that has it"
    # Powertools imports botocore's empty package, to see whether it is there.
    assert [each for each in loaded if each in ABSENT or each.startswith("botocore.")] == []
    assert [each for each in OPT_IN if f"vibe_router.{each}" in loaded] == []
