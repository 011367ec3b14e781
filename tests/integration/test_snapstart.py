"""The gateway with SnapStart: clients are created before the snapshot, but nothing is connected, read or fetched."""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.unit.store.aws_peer import Peer, answer
from tests.unit.store.test_credentials import Endpoint, issued
from tests.unit.streaming_runtime.fake_runtime_api import ACCEPTED, FakeRuntimeApi, event, reply
from tests.unit.streaming_runtime.test_runtime_startup import start

ROOT = Path(__file__).resolve().parents[2]
LIVELINESS = {"httpMethod": "GET", "path": "/health/liveliness", "headers": {}, "requestContext": {"requestId": "r"}}
MODELS = {**LIVELINESS, "path": "/v1/models", "headers": {"Authorization": "Bearer sk-master-key-of-tests"}}
NEVER = 4_000_000_000.0


def restored(aws: Peer, credentials: Endpoint, *events: dict[str, Any]) -> tuple[FakeRuntimeApi, str]:
    """Run the gateway up to the end of `events`, with the credentials that a restored environment has."""
    with FakeRuntimeApi([reply(200), *(each for one in events for each in (event(one), ACCEPTED))]) as api:
        _, log = start(
            api,
            ROOT / "functions" / "gateway",
            _HANDLER="gateway.app.handler",
            AWS_LAMBDA_INITIALIZATION_TYPE="snap-start",
            PYTHONPATH=":".join([str(ROOT / "layers" / "router"), *sys.path]),
            ROUTES_TABLE="routes",
            STATE_TABLE="state",
            KEYS_TABLE="keys",
            LEDGER_TABLE="ledger",
            USAGE_TABLE="usage",
            CACHE_TABLE="cache",
            RESPONSES_TABLE="responses",
            SECRET_ID="secret",
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ENDPOINT_URL=aws.url,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{credentials.url}/2018-06-01/credentials",
            AWS_CONTAINER_AUTHORIZATION_TOKEN="token-of-the-endpoint",
        )
    return api, log


def test_the_snapshot_holds_clients_but_no_connections_and_no_credentials() -> None:
    with closing(Peer()) as aws, closing(Endpoint(issued("ASIASNAPSHOT", NEVER))) as credentials:
        api, log = restored(aws, credentials, LIVELINESS)
        lines = [request.line.split()[1].rpartition("2018-06-01/")[2] for request in api.requests]
        assert lines[:2] == ["runtime/restore/next", "runtime/invocation/next"], log
        assert json.loads(api.requests[2].payload) == {"status": "alive"}
        assert aws.requests == []
        assert credentials.asked == []


def test_a_restored_environment_signs_with_the_credentials_of_the_container_endpoint() -> None:
    with closing(Peer()) as aws, closing(Endpoint(issued("ASIARESTORED", NEVER))) as credentials:
        secret = {"MASTER_KEY": "sk-master-key-of-tests"}
        aws.script = [answer(body={"SecretString": json.dumps(secret)}), answer(body={"Items": [], "Count": 0})]
        api, log = restored(aws, credentials, MODELS)
        assert json.loads(api.requests[2].payload)["data"] == [], log
        assert [headers["x-amz-target"] for _, headers, _ in aws.requests] == [
            "secretsmanager.GetSecretValue",
            "DynamoDB_20120810.Scan",
        ]
        for _, headers, _ in aws.requests:
            assert "Credential=ASIARESTORED/" in headers["authorization"]
            assert headers["x-amz-security-token"] == "token"
        assert credentials.asked == [("/2018-06-01/credentials", "token-of-the-endpoint")]
