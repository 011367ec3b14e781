"""JSON Web Tokens of an OpenID Connect provider: the signature and the claims.

Only RSA signatures are accepted (RS256, RS384, RS512), which every provider offers. A verification is one modular
power and a comparison: 0.1 ms, where the package for it (cryptography) would add 9 MB to the deployment.

Sources: RFC 7515 and 7519; RFC 8017, section 8.2.2 (RSASSA-PKCS1-v1_5); OpenID Connect Core 1.0, section 3.1.3.7.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["InvalidTokenError", "RsaKey", "UnknownKeyError", "bearer_claims", "read_keys", "verified_claims"]

_HASHES = {
    "RS256": ("sha256", bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": ("sha384", bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": ("sha512", bytes.fromhex("3051300d060960864801650304020305000440")),
}
"""By `alg`: the hash, and the DER encoding that precedes it in a signature (RFC 8017, section 9.2)."""

_MAX_TOKEN = 16 * 1024  # characters
_KEY_BITS = range(2048, 8193)
_SKEW = 60.0  # seconds by which clocks may differ


class InvalidTokenError(Exception):
    """A token that is not accepted. The message names the reason and repeats nothing of the token."""


class UnknownKeyError(InvalidTokenError):
    """A token that is signed with a key that is not known, perhaps not yet."""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A provider's public key. `id` is its `kid`, "" for none."""

    id: str
    modulus: int
    exponent: int


def read_keys(document: Mapping[str, Any]) -> list[RsaKey]:
    """Return the RSA keys for signatures in a JSON Web Key Set; others are left out."""
    keys = document.get("keys")
    found = (_key(each) for each in keys if isinstance(each, dict)) if isinstance(keys, list) else ()
    return [key for key in found if key]


def verified_claims(
    token: str, keys: Sequence[RsaKey], *, issuer: str, audience: str, now: float, nonce: str | None = None
) -> dict[str, Any]:
    """Return the claims of `token`. Raises InvalidTokenError.

    The signature must be by one of `keys`; the token must be from `issuer`, for `audience`, with `nonce` if that is
    given, and valid at `now` (epoch seconds).
    """
    claims = _signed_claims(token, keys, issuer, now)
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
    if audience not in audiences:
        raise InvalidTokenError("it is for another audience")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != audience:
        raise InvalidTokenError("it was issued to another client")
    if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise InvalidTokenError("its nonce is not the one of this sign-in")
    return claims


def bearer_claims(
    token: str,
    keys: Sequence[RsaKey],
    *,
    issuer: str,
    audiences: Collection[str],
    clients: Collection[str],
    now: float,
) -> dict[str, Any]:
    """Return the claims of a token that a caller sends as its key. Raises InvalidTokenError.

    It must be for one of `audiences` and, unless `clients` is empty, issued to one of these. A token without an
    audience is for the client that it was issued to, as Cognito's access tokens are. Sources: RFC 9068, section 4;
    OpenID Connect Core 1.0, section 2 (`azp`).
    """
    claims = _signed_claims(token, keys, issuer, now)
    if "events" in claims:  # such as one that ends a session: its receiver is not its subject (RFC 8417)
        raise InvalidTokenError("it is neither an access token nor an ID token")
    client = claims.get("azp", claims.get("client_id"))
    given = claims.get("aud", client)
    named = given if isinstance(given, list) else [given]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise InvalidTokenError("it is for another audience")
    if clients and not (isinstance(client, str) and client in clients):
        raise InvalidTokenError("it was issued to another client")
    return claims


def _signed_claims(token: str, keys: Sequence[RsaKey], issuer: str, now: float) -> dict[str, Any]:
    """Return the claims of a token of `issuer` that is signed by one of `keys` and valid at `now`."""
    if len(token) > _MAX_TOKEN or not token.isascii() or token.count(".") != 2:
        raise InvalidTokenError("it is not a signed token")
    signed, _, signature = token.rpartition(".")
    head, _, body = signed.partition(".")
    header, claims = _json(head), _json(body)
    _check_signature(header, signed.encode(), _decoded(signature), keys)
    _check_claims(claims, issuer, now)
    return claims


def _check_signature(header: Mapping[str, Any], signed: bytes, signature: bytes, keys: Sequence[RsaKey]) -> None:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _HASHES:
        raise InvalidTokenError("its algorithm is not accepted")
    if "crit" in header:
        raise InvalidTokenError("it requires an extension")
    kid = header.get("kid")
    candidates = [key for key in keys if kid is None or key.id == kid]
    if not candidates:
        raise UnknownKeyError("it is signed with an unknown key")
    if not any(_is_signature(algorithm, signed, signature, key) for key in candidates):
        raise InvalidTokenError("its signature is wrong")


def _is_signature(algorithm: str, signed: bytes, signature: bytes, key: RsaKey) -> bool:
    """Return whether `signature` is the one padded block that RFC 8017 prescribes; nothing of it is parsed."""
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    name, prefix = _HASHES[algorithm]
    suffix = prefix + hashlib.new(name, signed).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(suffix) - 3) + b"\x00" + suffix
    return hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size, "big"), expected)


def _check_claims(claims: Mapping[str, Any], issuer: str, now: float) -> None:
    if claims.get("iss") != issuer:
        raise InvalidTokenError("it is from another issuer")
    expires, begins = _time(claims, "exp"), _time(claims, "nbf")
    if expires is None or now >= expires + _SKEW:
        raise InvalidTokenError("it has expired")
    if begins is not None and now < begins - _SKEW:
        raise InvalidTokenError("it is not valid yet")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise InvalidTokenError("it has no subject")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise InvalidTokenError(f"its {name} is not a time")
    return float(value)


def _key(fields: Mapping[str, Any]) -> RsaKey | None:
    if fields.get("kty") != "RSA" or fields.get("use", "sig") != "sig":
        return None
    try:
        modulus, exponent = (int.from_bytes(_decoded(str(fields[name])), "big") for name in ("n", "e"))
    except (KeyError, InvalidTokenError):
        return None
    if modulus.bit_length() not in _KEY_BITS or exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 32:
        return None
    kid = fields.get("kid")
    return RsaKey(kid if isinstance(kid, str) else "", modulus, exponent)


def _json(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        raise InvalidTokenError("it is not a signed token") from None
    if not isinstance(value, dict):
        raise InvalidTokenError("it is not a signed token")
    return value


def _decoded(part: str) -> bytes:
    """Decode base64url without padding, as tokens and keys have it."""
    try:
        return base64.b64decode(part.encode() + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidTokenError("it is not a signed token") from None
