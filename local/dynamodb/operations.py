"""DynamoDB's operations: parameters in, a result or a `DynamoDBError` out.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from . import expressions
from .database import Database, Index, Position, Table
from .expressions import Placeholders
from .values import Item, ValidationError, check_item, check_value, key_bytes

__all__ = ["DynamoDB", "DynamoDBError"]

_MAX_RESULT_BYTES = 1024 * 1024
_MAX_TOKENS = 1000  # ClientRequestTokens that are remembered
_SQL_OPERATORS = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class DynamoDBError(Exception):
    """An error of DynamoDB's: its code, its message and further fields of its body."""

    def __init__(self, code: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


class DynamoDB:
    """The operations on a database. `clock` returns epoch seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._ttl: dict[str, str] = {}
        self._tokens: OrderedDict[str, bytes] = OrderedDict()  # with a digest of what they were used for
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "CreateTable": self._create_table,
            "DeleteItem": self._delete,
            "DescribeTable": self._describe_table,
            "DescribeTimeToLive": self._describe_ttl,
            "GetItem": self._get,
            "ListTables": lambda _: {"TableNames": sorted(self._database.tables)},
            "PutItem": self._put,
            "Query": self._query,
            "Scan": self._scan,
            "TransactGetItems": self._transact_get,
            "TransactWriteItems": self._transact_write,
            "UpdateItem": self._update,
            "UpdateTimeToLive": self._update_ttl,
        }

    def call(self, operation: str, parameters: Any) -> Mapping[str, Any]:
        """Run an operation. Raises `DynamoDBError`."""
        run = self._operations.get(operation)
        if run is None:
            raise DynamoDBError("UnknownOperationException", f"The development stack has no operation {operation}")
        if not isinstance(parameters, dict):
            raise DynamoDBError("SerializationException", "The body is not a JSON object")
        try:
            found: Mapping[str, Any] = run(parameters)
        except ValidationError as error:
            raise DynamoDBError("ValidationException", str(error)) from None
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            message = f"The parameters of {operation} are invalid: {type(error).__name__} {error}"
            raise DynamoDBError("ValidationException", message) from error
        return found

    def delete_expired(self) -> None:
        """Delete the items whose time to live has passed."""
        for name, attribute in self._ttl.items():
            self._database.delete_expired(self._database.tables[name], attribute, self._clock())

    # --- tables ---------------------------------------------------------------------------------------------------

    def _table(self, parameters: Mapping[str, Any]) -> Table:
        name = str(parameters.get("TableName", "")).rpartition("/")[2]
        table = self._database.tables.get(name)
        if table is None:
            raise DynamoDBError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return table

    def _create_table(self, parameters: Mapping[str, Any]) -> Any:
        if parameters["TableName"] in self._database.tables:
            raise DynamoDBError("ResourceInUseException", f"Table already exists: {parameters['TableName']}")
        self._database.create(parameters)
        return {"TableDescription": self._description(self._table(parameters))}

    def _describe_table(self, parameters: Mapping[str, Any]) -> Any:
        return {"Table": self._description(self._table(parameters))}

    def _description(self, table: Table) -> Any:
        described = {name: value for name, value in table.parameters.items() if name != "BillingMode"}
        indexes = [{**each, "IndexStatus": "ACTIVE"} for each in described.pop("GlobalSecondaryIndexes", ())]
        return {
            **described,
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{table.name}",
            "CreationDateTime": 0,
            "BillingModeSummary": {"BillingMode": table.parameters.get("BillingMode", "PROVISIONED")},
        }

    def _update_ttl(self, parameters: Mapping[str, Any]) -> Any:
        specification = parameters["TimeToLiveSpecification"]
        self._ttl[self._table(parameters).name] = specification["AttributeName"]
        return {"TimeToLiveSpecification": specification}

    def _describe_ttl(self, parameters: Mapping[str, Any]) -> Any:
        attribute = self._ttl.get(self._table(parameters).name)
        enabled = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
        return {"TimeToLiveDescription": enabled if attribute else {"TimeToLiveStatus": "DISABLED"}}

    # --- single items ---------------------------------------------------------------------------------------------

    def _get(self, parameters: Mapping[str, Any]) -> Any:
        table = self._table(parameters)
        item = self._database.get(table, _key_position(table, parameters["Key"]))
        given = _placeholders(parameters)
        if "ProjectionExpression" in parameters:
            item = expressions.project(parameters["ProjectionExpression"], item or {}, given) if item else None
        return {} if item is None else {"Item": item}

    def _put(self, parameters: Mapping[str, Any]) -> Any:
        return self._write("Put", parameters)

    def _delete(self, parameters: Mapping[str, Any]) -> Any:
        return self._write("Delete", parameters)

    def _update(self, parameters: Mapping[str, Any]) -> Any:
        return self._write("Update", parameters)

    def _write(self, kind: str, parameters: Mapping[str, Any]) -> Any:
        before, after, changed = self._apply(kind, parameters)
        match parameters.get("ReturnValues", "NONE"):
            case "ALL_OLD":
                found = before
            case "ALL_NEW":
                found = after
            case "UPDATED_OLD":
                found = {name: value for name, value in (before or {}).items() if name in changed}
            case "UPDATED_NEW":
                found = {name: value for name, value in (after or {}).items() if name in changed}
            case _:
                found = None
        return {"Attributes": found} if found else {}

    def _apply(self, kind: str, parameters: Mapping[str, Any]) -> tuple[Item | None, Item | None, set[str]]:
        """Check the condition and write; returns the item before, the item after, and the changed attributes."""
        table = self._table(parameters)
        given = _placeholders(parameters)
        if kind == "Put":
            position = table.position(check_item(parameters["Item"]))
        else:
            position = _key_position(table, parameters["Key"])
        before = self._database.get(table, position)
        condition = parameters.get("ConditionExpression")
        holds = condition is None or expressions.condition(condition, before, given)
        after: Item | None = before
        changed: set[str] = set()
        if kind == "Put":
            after = parameters["Item"]
        elif kind == "Delete":
            after = None
        elif kind == "Update":
            after = before or dict(parameters["Key"])
            if holds and "UpdateExpression" in parameters:
                after, changed = expressions.update(parameters["UpdateExpression"], after, given, table.primary.keys)
                check_item(after)
        if not holds:
            old = before if parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
            raise DynamoDBError(
                "ConditionalCheckFailedException", "The conditional request failed", **({"Item": old} if old else {})
            )
        given.check_all_used()
        if kind == "Delete" and before is not None:
            self._database.delete(table, position, before)
        elif kind in ("Put", "Update") and after is not None:
            for index in table.indexes.values():
                table.index_position(index, after)  # raises for a key of the wrong type
            self._database.put(table, position, before, after)
        return before, after, changed

    # --- several items --------------------------------------------------------------------------------------------

    def _query(self, parameters: Mapping[str, Any]) -> Any:
        table, index = self._table_and_index(parameters)
        given = _placeholders(parameters)
        wanted = expressions.key_condition(parameters["KeyConditionExpression"], index.partition, index.sort, given)
        bounds: list[tuple[str, bytes]] = []
        if wanted.operator is not None and index.sort is not None:
            keys = [key_bytes(each, table.types[index.sort]) for each in wanted.bounds]
            if wanted.operator == "between":
                bounds = [(">=", keys[0]), ("<=", keys[1])]
            elif wanted.operator == "begins_with":
                bounds = [(">=", keys[0]), ("<", keys[0] + b"\xff\xff\xff\xff")]
            else:
                bounds = [(_SQL_OPERATORS[wanted.operator], keys[0])]
        partition = key_bytes(wanted.partition, table.types[index.partition])
        start = None
        if exclusive := parameters.get("ExclusiveStartKey"):
            begin = table.index_position(index, exclusive)
            if begin is None:
                raise ValidationError("The provided starting key is invalid")
            start = (begin, table.position(exclusive))
        forward = parameters.get("ScanIndexForward") is not False
        texts = self._database.range(table, index, partition, bounds, start, forward=forward)
        return self._page(table, index, texts, parameters, given)

    def _scan(self, parameters: Mapping[str, Any]) -> Any:
        table, index = self._table_and_index(parameters)
        start = parameters.get("ExclusiveStartKey")
        texts = self._database.scan(table, table.position(start) if start else None)
        return self._page(table, index, texts, parameters, _placeholders(parameters))

    def _table_and_index(self, parameters: Mapping[str, Any]) -> tuple[Table, Index]:
        table = self._table(parameters)
        name = parameters.get("IndexName")
        if name is not None and name not in table.indexes:
            raise ValidationError(f"The table does not have the specified index: {name}")
        return table, table.indexes[name] if name else table.primary

    def _page(
        self, table: Table, index: Index, texts: Iterable[str], parameters: Mapping[str, Any], given: Placeholders
    ) -> Any:
        limit = parameters.get("Limit")
        if limit is not None and limit < 1:
            raise ValidationError("Limit must be greater than or equal to 1")
        condition, projection = parameters.get("FilterExpression"), parameters.get("ProjectionExpression")
        items: list[Item] = []
        scanned = size = count = 0
        last: Item | None = None
        more = False
        for text in texts:
            if (limit is not None and scanned >= limit) or size >= _MAX_RESULT_BYTES:
                more = True
                break
            item = json.loads(text)
            scanned += 1
            size += len(text)
            last = item
            if index.projected is not None:
                visible = {*index.projected, *index.keys, *table.primary.keys}
                item = {name: value for name, value in item.items() if name in visible}
            if condition is not None and not expressions.condition(condition, item, given):
                continue
            count += 1
            if parameters.get("Select") != "COUNT":
                items.append(expressions.project(projection, item, given) if projection else item)
        if scanned:
            given.check_all_used()
        found: dict[str, Any] = {"Count": count, "ScannedCount": scanned}
        if parameters.get("Select") != "COUNT":
            found["Items"] = items
        if more and last is not None:
            found["LastEvaluatedKey"] = {name: last[name] for name in {*index.keys, *table.primary.keys}}
        return found

    def _batch_get(self, parameters: Mapping[str, Any]) -> Any:
        wanted = parameters["RequestItems"]
        if not wanted or sum(len(each["Keys"]) for each in wanted.values()) > 100:
            raise ValidationError("Too many items requested for the BatchGetItem call")
        responses: dict[str, list[Item]] = {}
        for name, each in wanted.items():
            table = self._table({"TableName": name})
            positions = [_key_position(table, key) for key in each["Keys"]]
            if len(set(positions)) != len(positions):
                raise ValidationError("Provided list of item keys contains duplicates")
            found = [item for position in positions if (item := self._database.get(table, position)) is not None]
            if projection := each.get("ProjectionExpression"):
                given = _placeholders(each)
                found = [expressions.project(projection, item, given) for item in found]
            responses[name] = found
        return {"Responses": responses, "UnprocessedKeys": {}}

    def _batch_write(self, parameters: Mapping[str, Any]) -> Any:
        wanted = parameters["RequestItems"]
        if not wanted or sum(map(len, wanted.values())) > 25:
            raise ValidationError("Too many items requested for the BatchWriteItem call")
        with self._database.transaction():
            for name, requests in wanted.items():
                for request in requests:
                    ((kind, each),) = request.items()
                    self._apply(kind.removesuffix("Request"), {**each, "TableName": name})
        return {"UnprocessedItems": {}}

    def _transact_get(self, parameters: Mapping[str, Any]) -> Any:
        return {"Responses": [self._get(each["Get"]) for each in parameters["TransactItems"]]}

    def _transact_write(self, parameters: Mapping[str, Any]) -> Any:
        token, actions = parameters.get("ClientRequestToken"), parameters["TransactItems"]
        digest = sha256(json.dumps(actions).encode()).digest() if token is not None else b""
        if token is not None and token in self._tokens:
            if self._tokens[token] != digest:
                raise DynamoDBError(
                    "IdempotentParameterMismatchException", "The token was used with different parameters"
                )
            return {}
        if not 1 <= len(actions) <= 100:
            raise ValidationError("Member must have length less than or equal to 100")
        self._check_distinct(actions)
        reasons: list[dict[str, Any]] = []
        try:
            with self._database.transaction():
                for action in actions:
                    ((kind, each),) = action.items()
                    reasons.append(self._reason(kind, each))
                if any(reason["Code"] != "None" for reason in reasons):
                    raise _Cancelled
        except _Cancelled:
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise DynamoDBError(
                "TransactionCanceledException",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            ) from None
        if token is not None:
            self._tokens[token] = digest
            if len(self._tokens) > _MAX_TOKENS:
                self._tokens.popitem(last=False)
        return {}

    def _reason(self, kind: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Apply one action of a transaction; returns its cancellation reason."""
        try:
            self._apply(kind, parameters)
        except ValidationError as error:
            return {"Code": "ValidationError", "Message": str(error)}
        except DynamoDBError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return {"Code": "ConditionalCheckFailed", "Message": error.message, **error.fields}
        return {"Code": "None"}

    def _check_distinct(self, actions: list[Mapping[str, Any]]) -> None:
        seen: set[tuple[str, Position]] = set()
        for action in actions:
            ((kind, each),) = action.items()
            if kind not in ("Put", "Update", "Delete", "ConditionCheck"):
                raise ValidationError(f"A transaction has no action {kind}")
            table = self._table(each)
            key = table.position(each["Item"]) if kind == "Put" else _key_position(table, each["Key"])
            if (table.name, key) in seen:
                raise ValidationError("Transaction request cannot include multiple operations on one item")
            seen.add((table.name, key))
            _placeholders(each)


class _Cancelled(Exception):  # noqa: N818 - not a failure: it rolls a transaction back
    pass


def _key_position(table: Table, key: Any) -> Position:
    if not isinstance(key, dict) or set(key) != set(table.primary.keys):
        raise ValidationError("The provided key element does not match the schema")
    return table.position(key)


def _placeholders(parameters: Mapping[str, Any]) -> Placeholders:
    values = parameters.get("ExpressionAttributeValues") or {}
    for value in values.values():
        check_value(value)
    return Placeholders(parameters.get("ExpressionAttributeNames") or {}, values)
