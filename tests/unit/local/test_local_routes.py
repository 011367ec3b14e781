from pathlib import Path

import pytest

from local.files import write_atomically
from local.routes import RoutesError, read_routes

ROUTES = """
providers:
  ark: {base_url: "${ARK_BASE_URL:-https://ark.example/v3}", secret: ARK_API_KEY}
models:
  auto-chat: {chain: [{provider: ark, model: glm-4.7}]}
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "routes.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def digest(directory: Path, text: str, **environment: str) -> str:
    return read_routes(write(directory, text), environment).digest


def test_providers_come_with_the_names_of_their_secrets(tmp_path: Path) -> None:
    routes = read_routes(write(tmp_path, ROUTES), {"ARK_BASE_URL": "http://127.0.0.1:9/v1"})
    assert routes.providers == {"ark": "ARK_API_KEY"}
    assert routes.base_urls == {"ark": "http://127.0.0.1:9/v1"}
    assert routes.models == ("auto-chat",)


def test_the_content_has_changed_when_what_it_comes_to_has(tmp_path: Path) -> None:
    plain = digest(tmp_path, ROUTES)
    assert plain == digest(tmp_path, f"# a comment\n{ROUTES}")
    assert plain != digest(tmp_path, ROUTES, ARK_BASE_URL="http://127.0.0.1:9/v1")
    assert plain != digest(tmp_path, ROUTES.replace("glm-4.7", "glm-5"))


@pytest.mark.parametrize("noted", [None, b"", b"[]", b'{"sha256": "other"}'])
def test_missing_artefacts_are_to_be_loaded(tmp_path: Path, noted: bytes | None) -> None:
    loaded = tmp_path / "routes-loaded.json"
    if noted is not None:
        loaded.write_bytes(noted)
    routes = read_routes(write(tmp_path, ROUTES), {})
    assert not routes.is_loaded(loaded)
    write_atomically(loaded, b'{"sha256": "%s"}' % routes.digest.encode())
    assert routes.is_loaded(loaded)


def test_a_file_that_is_wrong_is_rejected_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(RoutesError, match=r"routes\.yaml:5: "):
        read_routes(write(tmp_path, ROUTES.replace("provider: ark", "provider: arc")), {})


def test_it_knows_which_models_have_formats_of_their_own(tmp_path: Path) -> None:
    text = """
providers:
  relay: {base_url: "http://127.0.0.1:9/v1", secret: KEY, formats: [chat, messages]}
models:
  one: {chain: [{provider: relay, model: codex, formats: [responses]}, {provider: relay, model: plain}]}
  two: {chain: [{provider: relay, model: both, formats: [responses]}]}
  three: {chain: [{provider: relay, model: both}]}
"""
    assert read_routes(write(tmp_path, text), {}).model_formats == {
        ("relay", "codex"): ["responses"],
        ("relay", "both"): ["chat", "messages", "responses"],
    }
