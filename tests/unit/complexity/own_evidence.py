"""Evidence of a user whose hard requests are not those of public data."""

import random
from typing import Any

from vibe_router.routing.complexity.features import FEATURES, encode

__all__ = ["evidence"]


def evidence(number: int) -> list[dict[str, Any]]:
    """Return rows as `vibe complexity export` writes them: a request is hard with many exclamation marks, mostly."""
    chance = random.Random(7)  # noqa: S311 - not for secrets
    marks, rows = FEATURES.index("exclamation marks"), []
    for index in range(number):
        buckets = [chance.randrange(4) for _ in FEATURES]
        buckets[marks] = chance.randrange(6)
        is_hard = (buckets[marks] >= 3) != (chance.random() < 0.05)
        at = f"2026-11-{1 + index // 40:02}T00:00:{index % 60:02}.000Z"
        rows.append({"at": at, "features": encode(buckets), "judged": 0.0 if is_hard else 0.5})
    return rows
