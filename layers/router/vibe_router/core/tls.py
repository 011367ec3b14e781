"""The TLS context that AWS and providers are verified with."""

import os
import ssl
from functools import cache

__all__ = ["trusted_ssl_context"]


@cache
def trusted_ssl_context() -> ssl.SSLContext:
    """Return a TLS context that trusts SSL_CERT_FILE, SSL_CERT_DIR or, by default, certifi's certificates.

    It is made once: that takes 10 to 20 ms.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    import certifi  # its import takes milliseconds

    return ssl.create_default_context(cafile=certifi.where())
