"""Move the totals of earlier releases, which had no shard in their partition key, to where totals are now.

Each total is moved in one transaction: what it holds is added to the new one and it is deleted, on the condition that
it has not changed since it was read. So nothing is lost or counted twice, whatever interrupts the command.
"""

from collections.abc import Iterator
from typing import Any

from vibe_router.core.record import COUNTERS
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item
from vibe_router.store.usage import TOTAL_SHARDS

__all__ = ["move_totals"]

_KINDS = ("all", "key", "team", "model", "deployment")
_TRIES = 20


def move_totals(client: DynamoDB, table: str) -> int:
    """Move all totals of earlier releases; return how many there were. Raises AwsError."""
    moved = 0
    for kind in _KINDS:
        for item in _old_totals(client, table, kind):
            moved += _move(client, table, kind, item)
    return moved


def _old_totals(client: DynamoDB, table: str, kind: str) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "id = :id",
        "ExpressionAttributeValues": to_item({":id": f"totals#{kind}"}),
        "ConsistentRead": True,
    }
    while True:
        found = client.query(**asked)
        yield from found["Items"]
        if not found.get("LastEvaluatedKey"):
            return
        asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]


def _move(client: DynamoDB, table: str, kind: str, item: dict[str, Any]) -> bool:
    """Move one total, and read it again if it has changed. False if another run has moved it."""
    key = {"id": item["id"], "at": item["at"]}
    for _ in range(_TRIES):
        try:
            client.transact_write_items(TransactItems=[_deletion(table, key, item), *_addition(table, kind, item)])
        except ClientError as error:
            reasons = error.response.get("CancellationReasons") or [{}]
            codes = {str(each.get("Code")) for each in reasons} - {"None"}
            if not codes or not codes <= {"ConditionalCheckFailed", "TransactionConflict"}:
                raise
            current = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
            if current is None:
                return False
            item = dict(current)
        else:
            return True
    raise ClientError({"Error": {"Code": "TransactionConflict"}}, "TransactWriteItems")


def _deletion(table: str, key: dict[str, Any], item: dict[str, Any]) -> Any:
    terms = ["attribute_exists(id)"]
    names, values = {}, {}
    for number, name in enumerate(COUNTERS):
        names[f"#{number}"] = name
        if name in item:
            terms.append(f"#{number} = :{number}")
            values[f":{number}"] = item[name]
        else:
            terms.append(f"attribute_not_exists(#{number})")
    deletion: dict[str, Any] = {
        "TableName": table,
        "Key": key,
        "ConditionExpression": " AND ".join(terms),
        "ExpressionAttributeNames": names,
    }
    return {"Delete": {**deletion, **({"ExpressionAttributeValues": values} if values else {})}}


def _addition(table: str, kind: str, item: dict[str, Any]) -> Iterator[Any]:
    at, _, shard = item["at"]["S"].rpartition("#")  # an hour, or a day and a name, and the old shard
    row = from_item(item)
    counters = {name: row[name] for name in COUNTERS if isinstance(row.get(name), int) and row[name]}
    if not at or not counters:
        return
    place = int(shard) % TOTAL_SHARDS if shard.isdecimal() else 0
    terms = ", ".join(f"#{number} :{number}" for number, _ in enumerate(counters))
    yield {
        "Update": {
            "TableName": table,
            "Key": to_item({"id": f"totals#{kind}#{place}", "at": at}),
            "UpdateExpression": f"ADD {terms}",
            "ExpressionAttributeNames": {f"#{number}": name for number, name in enumerate(counters)},
            "ExpressionAttributeValues": to_item({f":{number}": n for number, n in enumerate(counters.values())}),
        }
    }
