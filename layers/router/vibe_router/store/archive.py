"""The archive: one compressed JSON document for each request, in an S3 bucket.

archive/YYYY/MM/DD/<request id>.json.gz     by the day (UTC) on which the request began
"""

import gzip
import re
import time
import zlib

from vibe_router.store.compression import decompress
from vibe_router.store.objects import Bucket

__all__ = ["MOST_DOCUMENT_BYTES", "ArchiveStore", "CorruptDocumentError", "archive_key"]

MOST_DOCUMENT_BYTES = 24 * 1024 * 1024
"""The largest document, uncompressed; it is read whole."""
_COMPRESSION = 6  # zlib's default: 1 MB of text takes about 20 ms
_HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class CorruptDocumentError(Exception):
    """An object of the archive is not what was written."""


class ArchiveStore:
    """Writes and reads documents in `bucket`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def write(self, started: float, request_id: str, document: bytes) -> None:
        """Write the document of a request that began at `started` (epoch seconds). Raises AwsError."""
        packed = gzip.compress(document, _COMPRESSION, mtime=0)
        self._bucket.put(archive_key(started, request_id), packed, _HEADERS)

    def read(self, started: float, request_id: str) -> bytes | None:
        """Return the document of a request; None if there is none. Raises AwsError and CorruptDocumentError."""
        packed = self._bucket.get(archive_key(started, request_id))
        if packed is None:
            return None
        try:
            document = decompress(packed, MOST_DOCUMENT_BYTES, window_bits=31)
        except zlib.error:
            raise CorruptDocumentError("not gzip, or incomplete") from None
        if len(document) > MOST_DOCUMENT_BYTES:
            raise CorruptDocumentError("too large")
        return document


def archive_key(started: float, request_id: str) -> str:
    """Return the key of a request's document. Ids are API Gateway's; any other character becomes a `_`."""
    day = time.strftime("%Y/%m/%d", time.gmtime(started))
    return f"archive/{day}/{_UNSAFE.sub('_', request_id)[:200]}.json.gz"
