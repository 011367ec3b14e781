"""The calls to receivers: payloads, signatures as each product verifies them, and where an alert may be sent."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from vibe_router.alerts.alert import Alert
from vibe_router.alerts.messages import Call, check_url, failure_of, webhook_call

NOW = 1_800_000_000.5
ALERT = Alert("credential-1", "credential", "ark", {"status": 401, "since": "2027-01-15T08:00:00.000Z"})
TEXT = "ark rejects its credential (401). Set a valid key in the router's secret."
PAGE = "https://router.example/ui/"


def call(kind: str, secret: str | None = None, url: str = "https://x.example/hook?a=1", alert: Alert = ALERT) -> Call:
    return webhook_call(kind, url, secret, alert, NOW - 1, PAGE, NOW)


def signature(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def test_json_is_signed_as_standard_webhooks_has_it() -> None:
    key = b"k" * 24
    sent = call("json", "whsec_" + base64.b64encode(key).decode())
    stamp = sent.headers["webhook-timestamp"]
    assert stamp == "1800000000"
    assert sent.headers["webhook-id"] == "credential-1"
    signed = f"credential-1.{stamp}.".encode() + sent.body
    assert sent.headers["webhook-signature"] == "v1," + signature(key, signed)
    assert json.loads(sent.body) == {
        "id": "credential-1",
        "type": "alert.credential",
        "timestamp": "2027-01-15T07:59:59.500Z",
        "data": {
            "subject": "ark",
            "text": TEXT,
            "figures": {"status": 401, "since": "2027-01-15T08:00:00.000Z"},
            "link": PAGE + "#/alerts",
        },
    }


def test_a_known_vector_of_standard_webhooks() -> None:
    """The example of the specification's libraries, computed over their fixed body."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body) == expected


@pytest.mark.parametrize("secret", ["plain text", "whsec_not base64!"])
def test_a_secret_in_another_form_is_the_key_itself(secret: str) -> None:
    sent = call("json", secret)
    assert sent.headers["webhook-signature"] == "v1," + signature(
        secret.encode(), b"credential-1.1800000000." + sent.body
    )


def test_slack_gets_text_and_blocks_without_mentions() -> None:
    sent = call("slack", alert=Alert("quota-1", "quota", "<!channel> & co", {}))
    body = json.loads(sent.body)
    assert "webhook-signature" not in sent.headers
    assert body["text"].startswith("&lt;!channel&gt; &amp; co has used")
    assert f"<{PAGE}#/alerts|Open the alerts>" in body["blocks"][0]["text"]["text"]


def test_feishu_is_signed_in_its_body() -> None:
    body = json.loads(call("feishu", "s3cret").body)
    assert body["timestamp"] == "1800000000"
    assert body["sign"] == signature(b"1800000000\ns3cret", b"")
    assert body["msg_type"] == "text"
    assert body["content"]["text"].splitlines() == ["Vibe Router: Rejected credential", TEXT, PAGE + "#/alerts"]
    assert "sign" not in json.loads(call("feishu").body)


def test_dingtalk_is_signed_in_its_query() -> None:
    sent = call("dingtalk", "SEC1")
    query = parse_qs(urlsplit(sent.url).query)
    assert query["a"] == ["1"]
    assert query["timestamp"] == ["1800000000500"]
    assert query["sign"] == [signature(b"SEC1", b"1800000000500\nSEC1")]
    assert json.loads(sent.body)["msgtype"] == "text"
    assert call("dingtalk", "SEC1", "https://x.example/hook").url.count("?") == 1
    assert call("dingtalk").url == "https://x.example/hook?a=1"


@pytest.mark.parametrize(
    ("kind", "status", "body", "reason"),
    [
        ("json", 204, b"", None),
        ("slack", 200, b"ok", None),
        ("slack", 302, b"", "it answered 302"),
        ("json", 500, b"secret detail", "it answered 500"),
        ("feishu", 200, b'{"code": 0, "msg": "success"}', None),
        ("feishu", 200, b'{"StatusCode": 0}', None),
        ("feishu", 200, b'{"code": 19021, "msg": "sign match fail"}', "it rejected the message (code 19021)"),
        ("dingtalk", 200, b'{"errcode": 0}', None),
        ("dingtalk", 200, b'{"errcode": 310000}', "it rejected the message (code 310000)"),
        ("dingtalk", 200, b"<html>", "it answered something else than JSON"),
        ("dingtalk", 200, b"[]", "it answered without a code"),
    ],
)
def test_what_an_answer_means(kind: str, status: int, body: bytes, reason: str | None) -> None:
    assert failure_of(kind, status, body) == reason


@pytest.mark.parametrize(
    ("url", "kind", "host", "reason"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack", None, None),
        ("https://hooks.slack.com.evil.example/x", "slack", None, "must lead to hooks.slack.com"),
        ("https://mattermost.example/hooks/x", "slack", "Mattermost.example", None),
        ("https://open.larksuite.com/open-apis/bot/v2/hook/x", "feishu", None, None),
        ("https://a.example/x", "json", None, None),
        ("https://b.example/x", "json", "a.example", "must lead to a.example"),
        ("http://a.example/x", "json", None, "must begin with https://"),
        ("https://user:pass@a.example/x", "json", None, "without credentials"),
        ("https://169.254.169.254/latest", "json", None, "metadata"),
        ("https://2852039166/", "json", None, "metadata"),
        ("http://127.0.0.1:9001/2018-06-01/runtime", "json", None, "the function itself"),
        ("https://localhost/", "json", None, "the function itself"),
        ("sk-not-a-url", "json", None, "must be https"),
        ("https://[::1", "json", None, "not a URL"),
    ],
)
def test_where_an_alert_may_be_sent_on_aws(url: str, kind: str, host: str | None, reason: str | None) -> None:
    if reason is None:
        check_url(url, kind, host, is_local=False)
        return
    with pytest.raises(ValueError, match=reason) as refused:
        check_url(url, kind, host, is_local=False)
    assert url not in str(refused.value)


def test_loopback_is_for_the_local_stack() -> None:
    check_url("http://127.0.0.1:8080/hook", "slack", None, is_local=True)
