"""Sessions that were signed out before they expired, shared by all environments: items of the LedgerTable.

    id                   attributes
    session#<id>         ended_at, expires_at: this session was signed out
    sessions#<username>  ended_before, expires_at: every session that began by then was signed out

TTL deletes both once every session that they end has expired.
"""

from vibe_router.access.sessions import LONGEST, Session
from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError, read_time
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item

__all__ = ["SessionStore"]


class SessionStore:
    """Ends sessions, and reports which have ended. Raises AwsError: without the table no session is valid."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def has_ended(self, session: Session) -> bool:
        """Return whether `session` was signed out, alone or with all of its user's. A corrupt item counts as yes."""
        one = self._read(f"session#{session.id}")
        if one is not None:
            return True
        every = self._read(f"sessions#{session.username}")
        if every is None:
            return False
        try:
            return session.began <= (read_time(every, "ended_before") or 0)
        except CorruptRowError:
            return True

    def end(self, session: Session) -> None:
        """Sign one session out."""
        self._put(f"session#{session.id}", ended_at=round(self._clock.now(), 3))

    def end_all(self, username: str) -> None:
        """Sign out every session of a user that has begun by now."""
        self._put(f"sessions#{username}", ended_before=round(self._clock.now(), 3))

    def _read(self, item_id: str) -> dict[str, object] | None:
        found = self._client.get_item(TableName=self._table, Key=to_item({"id": item_id}), ConsistentRead=True)
        return from_item(found["Item"]) if "Item" in found else None

    def _put(self, item_id: str, **values: float) -> None:
        expires_at = int(self._clock.now() + LONGEST) + 600  # more than clocks differ
        self._client.put_item(TableName=self._table, Item=to_item({"id": item_id, "expires_at": expires_at, **values}))
