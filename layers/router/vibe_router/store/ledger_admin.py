"""Read, correct and delete ledgers: the admin function's side of the LedgerTable."""

from collections.abc import Collection

from vibe_router.access.ledger import COUNTERS, TIMES, Ledger
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, Item, Value, to_item
from vibe_router.store.key_admin import CorruptRecordError
from vibe_router.store.ledger_table import parse_ledger

__all__ = ["LedgerAdmin"]

_BATCH = 100  # keys per BatchGetItem
_TRIES = 5  # for unprocessed keys, and against requests that settle concurrently


class LedgerAdmin:
    """Reads consistently. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, ids: Collection[str]) -> dict[str, Ledger]:
        """Return those ledgers of `ids` that exist and can be parsed."""
        found: dict[str, Ledger] = {}
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), _BATCH):
            for item in self._batch(wanted[start : start + _BATCH]):
                try:
                    found[item["id"]["S"]] = parse_ledger(item)
                except ValueError:
                    continue  # edited by hand; the gateway logs it
        return found

    def set_spent(self, ledger_id: str, spent: int) -> None:
        """Set the spending of the current period, in nano-dollars; reservations and the total stay.

        Raises CorruptRecordError for a ledger that was edited by hand.
        """
        for _ in range(_TRIES):
            items = self._batch([ledger_id])
            try:
                ledger = parse_ledger(items[0]) if items else None
            except ValueError:
                raise CorruptRecordError from None
            try:
                if ledger is not None:
                    return self._move(ledger_id, ledger, spent)
                return self._begin(ledger_id, spent)
            except ClientError as error:
                if error_code(error) not in ("ConditionalCheckFailedException", "TransactionConflictException"):
                    raise
        raise ClientError({"Error": {"Code": "TransactionConflict"}}, "UpdateItem")

    def forget(self, ledger_id: str) -> None:
        """Delete a ledger, so that a later holder of its id starts from zero."""
        self._client.delete_item(TableName=self._table, Key=to_item({"id": ledger_id}))

    def _move(self, ledger_id: str, ledger: Ledger, spent: int) -> None:
        self._client.update_item(
            TableName=self._table,
            Key=to_item({"id": ledger_id}),
            UpdateExpression="SET spent = :spent, committed = committed + :difference",
            ConditionExpression="spent = :seen",
            ExpressionAttributeValues=to_item(
                {":spent": spent, ":seen": ledger.spent, ":difference": spent - ledger.spent}
            ),
        )

    def _begin(self, ledger_id: str, spent: int) -> None:
        """Write the ledger of a key or team that has not been used yet."""
        zeros = dict.fromkeys((*COUNTERS, *TIMES), 0)
        values: dict[str, Value] = {**zeros, "spent": spent, "committed": spent, "held": {}}
        names = {f"#{name}": name for name in values}
        self._client.update_item(
            TableName=self._table,
            Key=to_item({"id": ledger_id}),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ConditionExpression="attribute_not_exists(id)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item({f":{name}": value for name, value in values.items()}),
        )

    def _batch(self, ids: list[str]) -> list[Item]:
        keys = [to_item({"id": each}) for each in ids]
        found: list[Item] = []
        for _ in range(_TRIES):
            response = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            found += response["Responses"].get(self._table, [])
            unprocessed = response.get("UnprocessedKeys", {}).get(self._table)
            if not unprocessed:
                return found
            keys = [dict(key) for key in unprocessed["Keys"]]
        raise ClientError({"Error": {"Code": "UnprocessedKeys"}}, "BatchGetItem")
