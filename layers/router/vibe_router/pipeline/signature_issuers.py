"""The providers that issued the proofs of reasoning (signatures, encrypted content) seen by this environment."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

__all__ = ["SignatureIssuers"]

_MAX_PROOFS = 4096  # of the latest; some 100 bytes each


class SignatureIssuers:
    """Remembers digests of proofs, never a proof itself."""

    def __init__(self) -> None:
        self._issuers: OrderedDict[bytes, str] = OrderedDict()

    def record(self, issuer: str, proofs: Iterable[str]) -> None:
        """Remember that the provider `issuer` issued `proofs`."""
        for proof in proofs:
            self._issuers[_digest(proof)] = issuer
        while len(self._issuers) > _MAX_PROOFS:
            self._issuers.popitem(last=False)

    def of(self, proof: str) -> str | None:
        """Return the provider that issued `proof`, None if this environment has not seen it."""
        return self._issuers.get(_digest(proof)) if self._issuers else None


def _digest(proof: str) -> bytes:
    return hashlib.blake2b(proof.encode(errors="surrogatepass"), digest_size=16).digest()
