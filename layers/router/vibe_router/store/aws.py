"""The one boto3 session: what clients share, such as AWS's list of endpoints, is loaded once."""

import logging
from functools import cache

from boto3.session import Session

__all__ = ["session"]


@cache
def session() -> Session:
    """Return it."""
    # botocore tells the bodies of its answers at DEBUG, and one of them holds every key; at INFO it tells of routine.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Session()
