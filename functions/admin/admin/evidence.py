"""Evidence of complexity routing that belongs to a deleted key: its rows lose their features.

A key may have more rows than can be changed within one request. Readers therefore leave out what is left, and delete
more of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from admin.call import Call
from vibe_router.core.record import Record

__all__ = ["delete_evidence", "without_deleted_keys"]

_MOST_SECONDS = 10.0  # of a request of 30 s
_MOST_SECONDS_OF_READERS = 3.0


def delete_evidence(call: Call, key_ids: Collection[str], seconds: float = _MOST_SECONDS) -> None:
    """Delete the features of keys, as many as `seconds` suffice for."""
    for key_id in sorted(key_ids):
        call.environment.complexity.delete_features(key_id, seconds / len(key_ids))


def without_deleted_keys(call: Call, records: Sequence[Record]) -> list[Record]:
    """Return `records`, those of deleted keys without features."""
    if not any(each.routing_features for each in records):
        return list(records)
    keys = call.environment.keys.list_keys(deleted=True)
    deleted = {key.key_id for key in keys if key.deleted} - {key.key_id for key in keys if not key.deleted}
    left = {each.key for each in records if each.key in deleted and each.routing_features}
    if not left:
        return list(records)
    delete_evidence(call, {key for key in left if key}, _MOST_SECONDS_OF_READERS)
    return [replace(each, routing_features=None) if each.key in left else each for each in records]
