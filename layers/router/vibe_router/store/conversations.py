"""The deployments that conversations stay on: items of the StateTable, shared by all environments.

    id                    attributes
    conversation#<hash>   deployment, until, expires_at

An item is written when a conversation is served by another deployment than the first of its chain, and read only after
a deployment has recovered, or where the order of deployments changes. The hash reveals neither caller nor prompt.
"""

from vibe_router.core.clock import Clock
from vibe_router.core.rows import read_text, read_time
from vibe_router.routing.stay import Stay
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item

__all__ = ["ConversationStore"]

_PREFIX = "conversation#"
_CACHED = 4096  # conversations in memory


class ConversationStore:
    """Reads and writes stays. Never raises: without the table, a conversation stays as far as this environment knows.

    `spawn` runs work in the background. `service` is the breaker of DynamoDB as a whole.
    """

    def __init__(
        self,
        client: DynamoDB,
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the table of conversations", clock, service=service)
        self._cache: dict[str, Stay] = {}

    def cached(self, conversation: str) -> Stay | None:
        """Return the stay that is in memory."""
        return self._cache.get(conversation)

    def read(self, conversation: str) -> Stay | None:
        """Return the stay of a conversation, which another environment may have written; None if there is none."""
        if self._breaker.next_call() is CallMode.SKIP:
            return self.cached(conversation)
        key = to_item({"id": _PREFIX + conversation})
        try:
            response = self._client.batch_get_item(RequestItems={self._table: {"Keys": [key]}})
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return self.cached(conversation)
        self._breaker.record_success()
        for item in response.get("Responses", {}).get(self._table, ()):
            try:
                row = from_item(item)
                stay = Stay(read_text(row, "deployment") or "", read_time(row, "until") or 0.0)
            except (ValueError, TypeError):  # edited by hand: nothing to stay with
                continue
            self._remember(conversation, stay)
            return stay
        return self.cached(conversation)

    def write(self, conversation: str, stay: Stay) -> None:
        """Store where a conversation stays."""
        self._remember(conversation, stay)
        self._breaker.run(lambda: self._put(conversation, stay), self._spawn)

    def _put(self, conversation: str, stay: Stay) -> None:
        values: dict[str, Value] = {
            "deployment": stay.deployment,
            "until": stay.until,
            "expires_at": int(stay.until) + 60,
        }
        try:
            self._client.put_item(TableName=self._table, Item=to_item({"id": _PREFIX + conversation, **values}))
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
        else:
            self._breaker.record_success()

    def _remember(self, conversation: str, stay: Stay) -> None:
        self._cache.pop(conversation, None)  # the latest is last
        self._cache[conversation] = stay
        if len(self._cache) > _CACHED:
            del self._cache[next(iter(self._cache))]
