"""The one botocore session.

Clients are made by botocore itself: boto3 only adds a layer that nothing here uses, and 35 ms to every cold start.
"""

import logging

from botocore.session import get_session

__all__ = ["session"]

# botocore tells the bodies of its answers at DEBUG, and one of them holds every key.
logging.getLogger("botocore").setLevel(logging.INFO)

session = get_session()
