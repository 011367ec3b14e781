r"""The webhook calls that report an alert: a receiver's payload, its signature, and what its answer means.

    json      Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature (v1, HMAC-SHA256 over id.time.body)
    slack     an incoming webhook: text and blocks; signed like json if a secret is set, for relays in between
    feishu    a custom bot: timestamp and sign in the body, HMAC-SHA256 keyed with "timestamp\nsecret" over nothing
    dingtalk  a custom robot: timestamp and sign in the query, HMAC-SHA256 over "timestamp\nsecret"

Sources: standardwebhooks.com; api.slack.com/messaging/webhooks; open.feishu.cn, "Custom bot usage guide";
open.dingtalk.com, "Custom robot security settings".
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from vibe_router.alerts.alert import Alert, describe
from vibe_router.core.clock import to_iso
from vibe_router.core.urls import host_of, is_metadata

__all__ = ["HOSTS", "Call", "check_url", "failure_of", "webhook_call"]

HOSTS: Mapping[str, tuple[str, ...]] = {
    "slack": ("hooks.slack.com", "hooks.slack-gov.com"),
    "feishu": ("open.feishu.cn", "open.larksuite.com"),
    "dingtalk": ("oapi.dingtalk.com",),
}
"""Where the URLs of a type lead, unless the receiver names another `host`."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_WHSEC = "whsec_"
_MAX_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Call:
    """A POST to a receiver."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def check_url(url: str, kind: str, host: str | None, *, is_local: bool) -> None:
    """Raise ValueError, with a reason that does not repeat `url`, unless an alert may be sent there.

    `kind` is the receiver's type, `host` the one that its secret is bound to, if any. Loopback is for `is_local`.
    """
    try:
        parts = urlsplit(url)
        found, port = host_of(url), parts.port
    except ValueError:
        raise ValueError("its URL is not a URL") from None
    if parts.scheme not in ("http", "https") or not found or port == 0 or parts.username is not None:
        raise ValueError("its URL must be https://HOST/PATH, without credentials before the host")
    if is_metadata(found):
        raise ValueError("its URL leads to a link-local address or a metadata service")
    if found in _LOOPBACK or found.startswith("127."):
        if not is_local:
            raise ValueError("its URL leads to the function itself")
        return
    if parts.scheme != "https":
        raise ValueError("its URL must begin with https://")
    allowed = (host.lower(),) if host else HOSTS.get(kind, ())
    if allowed and found.lower() not in allowed:
        raise ValueError(f"its URL must lead to {' or '.join(allowed)}")


def webhook_call(kind: str, url: str, secret: str | None, alert: Alert, at: float, page: str, now: float) -> Call:
    """Return the call that reports `alert`, raised at `at`, to a receiver of type `kind`, signed at `now`.

    `page` is the address of the admin page, empty if unknown.
    """
    text = describe(alert.event, alert.subject, alert.figures)
    link = f"{page}#/alerts" if page else ""
    body: dict[str, Any]
    match kind:
        case "slack":
            body = _slack(alert, text, link)
        case "feishu":
            body = {"msg_type": "text", "content": {"text": _lines(alert, text, link)}}
            if secret:
                stamp = str(int(now))
                body |= {"timestamp": stamp, "sign": _hmac(f"{stamp}\n{secret}".encode(), b"")}
        case "dingtalk":
            body = {"msgtype": "text", "text": {"content": _lines(alert, text, link)}}
            if secret:
                stamp = str(int(now * 1000))
                sign = quote(_hmac(secret.encode(), f"{stamp}\n{secret}".encode()), safe="")
                url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={sign}"
        case _:
            body = _plain(alert, text, link, at)
    payload = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "vibe-router",
        "webhook-id": alert.id,
        "webhook-timestamp": str(int(now)),
    }
    if secret and kind in ("json", "slack"):
        signed = f"{alert.id}.{int(now)}.".encode() + payload
        headers["webhook-signature"] = "v1," + _hmac(_key_of(secret), signed)
    return Call(url, headers, payload)


def failure_of(kind: str, status: int, body: bytes) -> str | None:
    """Return why a receiver did not accept a call; None if it did. `body` is the beginning of its answer.

    Feishu and DingTalk answer 200 to what they reject, with a code in the body.
    """
    if not 200 <= status < 300:
        return f"it answered {status}"
    if kind not in ("feishu", "dingtalk"):
        return None
    try:
        answer = json.loads(body)
    except ValueError:
        return "it answered something else than JSON"
    names = ("code", "StatusCode") if kind == "feishu" else ("errcode",)
    codes = [answer[name] for name in names if name in answer] if isinstance(answer, dict) else []
    if not codes:
        return "it answered without a code"
    rejected = next((code for code in codes if code != 0), None)
    return None if rejected is None else f"it rejected the message (code {str(rejected)[:_MAX_DETAIL]})"


def _plain(alert: Alert, text: str, link: str, at: float) -> dict[str, Any]:
    return {
        "id": alert.id,
        "type": f"alert.{alert.event}",
        "timestamp": to_iso(at),
        "data": {"subject": alert.subject, "text": text, "figures": dict(alert.figures), "link": link or None},
    }


def _slack(alert: Alert, text: str, link: str) -> dict[str, Any]:
    shown = _escaped(text) + (f"\n<{link}|Open the alerts>" if link else "")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_title(alert)}*\n{shown}"}}
    return {"text": _escaped(text), "blocks": [section]}


def _lines(alert: Alert, text: str, link: str) -> str:
    return "\n".join(filter(None, (f"Vibe Router: {_title(alert)}", text, link)))


def _title(alert: Alert) -> str:
    return {
        "budget": "Budget",
        "soft_budget": "Soft budget",
        "quota": "Quota",
        "cooldown": "Long cooldown",
        "credential": "Rejected credential",
        "no_deployment": "No deployment left",
        "rollback": "Complexity rollback",
        "test": "Test",
    }.get(alert.event, alert.event)


def _escaped(text: str) -> str:
    """Escape what Slack reads as mentions and links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _key_of(secret: str) -> bytes:
    """Return the key of a secret: what follows whsec_ is base64; any other text is the key itself."""
    if secret.startswith(_WHSEC):
        try:
            return base64.b64decode(secret.removeprefix(_WHSEC), validate=True)
        except binascii.Error:
            pass  # a text that happens to begin so
    return secret.encode()


def _hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
