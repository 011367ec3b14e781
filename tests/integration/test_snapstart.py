"""The gateway with SnapStart: clients are created before the snapshot, but nothing is connected or read."""

import json
import socket
import sys
from pathlib import Path

from tests.unit.streaming_runtime.fake_runtime_api import ACCEPTED, FakeRuntimeApi, event, reply
from tests.unit.streaming_runtime.test_runtime_startup import start

ROOT = Path(__file__).resolve().parents[2]
LIVELINESS = {"httpMethod": "GET", "path": "/health/liveliness", "headers": {}, "requestContext": {"requestId": "r"}}


def test_the_snapshot_holds_clients_but_no_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as aws:
        aws.settimeout(0.0)
        endpoint = f"http://127.0.0.1:{aws.getsockname()[1]}"
        with FakeRuntimeApi([reply(200), event(LIVELINESS), ACCEPTED]) as api:
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
                RESPONSES_TABLE="responses",
                SECRET_ID="secret",
                AWS_REGION="us-east-1",
                AWS_DEFAULT_REGION="us-east-1",
                AWS_ENDPOINT_URL=endpoint,
                AWS_EC2_METADATA_DISABLED="true",
                POWERTOOLS_TRACE_DISABLED="true",
            )
        lines = [request.line.split()[1].rpartition("2018-06-01/")[2] for request in api.requests]
        assert lines[:2] == ["runtime/restore/next", "runtime/invocation/next"], log
        assert json.loads(api.requests[2].payload) == {"status": "alive"}
        try:
            aws.accept()
        except BlockingIOError:
            return  # nothing connected: the snapshot holds no key, row or credential
        raise AssertionError("AWS was called before a request needed it")
