"""Virtual keys for measurements, written to the keys table as the admin function writes them."""

import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

import boto3

from local.template import REGION

__all__ = ["CALLERS", "make", "ready_made_write"]

_BUDGET: dict[str, Any] = {"max_budget": 10**15, "budget_duration": "30d"}  # nano-dollars: a million dollars
_EVERY: dict[str, Any] = {**_BUDGET, "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 100}
_TEAM = "bench"
_RECORDS: dict[str, dict[str, Any]] = {
    "sk-bench-unlimited": {},
    "sk-bench-budget": _BUDGET,
    "sk-bench-every": _EVERY,
    "sk-bench-team": {**_BUDGET, "team_id": _TEAM},
}

CALLERS: dict[str, str | None] = {
    "master key": None,
    "virtual key without limits": "sk-bench-unlimited",
    "virtual key with a budget": "sk-bench-budget",
    "virtual key with limits of every sort": "sk-bench-every",
    "virtual key and team with a budget": "sk-bench-team",
}
"""The key as each caller shows it; None for the master key."""


def make(endpoint: str, table: str) -> None:
    """Write the keys and their team."""
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - the embedded AWS takes any
    )
    keys = resource.Table(table)
    keys.put_item(Item={"id": f"team#{_TEAM}", **_BUDGET})
    for shown, record in _RECORDS.items():
        key_hash = hashlib.sha256(shown.encode()).hexdigest()
        keys.put_item(Item={"id": f"key#{key_hash}", "key_id": key_hash, **record})
    resource.meta.client.close()


def ready_made_write(endpoint: str, table: str) -> bytes:
    """Return the bytes of a request that updates an item of the ledger table of the embedded AWS."""
    update = {
        "TableName": table,
        "Key": {"id": {"S": "bench#direct"}},
        "UpdateExpression": "ADD committed :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    body = json.dumps(update).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {urlsplit(endpoint).netloc}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        "X-Amz-Target: DynamoDB_20120810.UpdateItem\r\nAuthorization: AWS4-HMAC-SHA256 Credential=bench/20260101/"
        f"{REGION}/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
