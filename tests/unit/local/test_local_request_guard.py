import pytest
from multidict import CIMultiDict

from local.request_guard import RequestGuard


@pytest.mark.parametrize(
    "host",
    ["", "localhost:4000", "127.0.0.1:4000", "127.9.9.9", "[::1]:4000", "app.localhost:1", "host.docker.internal:4000",
     "LOCALHOST"],
)  # fmt: skip
def test_a_host_name_of_this_machine_is_accepted(host: str) -> None:
    assert RequestGuard().rejection(CIMultiDict({"host": host} if host else {})) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example:4000", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.4:4000", "0.0.0.0:4000", "[",
     "evil.example@localhost", "evillocalhost"],
)  # fmt: skip
def test_a_foreign_host_name_is_rejected(host: str) -> None:
    assert "ALLOWED_HOSTS" in str(RequestGuard().rejection(CIMultiDict({"Host": host})))


def test_a_configured_host_name_is_accepted() -> None:
    guard = RequestGuard(hosts=frozenset({"router.test"}))
    assert guard.rejection(CIMultiDict({"host": "Router.test:4000", "origin": "http://router.test:4000"})) is None
    assert guard.rejection(CIMultiDict({"host": "other.test"}))


@pytest.mark.parametrize(
    ("origin", "configured", "accepted"),
    [
        pytest.param(None, "", True, id="no origin"),
        pytest.param("http://127.0.0.1:4000", "", True, id="the page itself"),
        pytest.param("http://127.0.0.1:5173", "", False, id="another port"),
        pytest.param("https://evil.example", "", False, id="another site"),
        pytest.param("null", "", False, id="a sandboxed page"),
        pytest.param("https://App.example", "https://app.example", True, id="configured"),
        pytest.param("https://evil.example", "https://app.example", False, id="another than the configured"),
        pytest.param("https://any.example", "*", True, id="all configured"),
    ],
)
def test_only_the_page_and_configured_origins_may_call(origin: str | None, configured: str, accepted: bool) -> None:
    headers = CIMultiDict({"host": "127.0.0.1:4000", **({"origin": origin} if origin else {})})
    reason = RequestGuard(frozenset({configured} - {""})).rejection(headers)
    assert (reason is None) is accepted
    assert accepted or "CORS_ORIGINS" in str(reason)
