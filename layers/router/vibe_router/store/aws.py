"""The one botocore session: what clients share, such as AWS's list of endpoints, is loaded once.

Clients are made by botocore itself: boto3 only adds a layer that nothing here uses, and 35 ms to every cold start.
"""

import logging
from functools import cache

from botocore.session import Session, get_session

__all__ = ["session"]


@cache
def session() -> Session:
    """Return it."""
    # botocore tells the bodies of its answers at DEBUG, and one of them holds every key.
    logging.getLogger("botocore").setLevel(logging.INFO)
    return get_session()
