from pathlib import Path

import pytest

from local.settings import SettingsError, read_settings


def write(checkout: Path, text: str) -> Path:
    (checkout / ".env").write_text(text, encoding="utf-8")
    return checkout


def test_without_any_setting_there_are_defaults(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})
    assert settings.port == 4000
    assert settings.routes_file == tmp_path / "routes.yaml"
    assert settings.data_dir == tmp_path / ".data"
    assert settings.concurrency == 16
    assert settings.master_key is None
    assert (settings.ui_username, settings.ui_password) == ("admin", None)
    assert settings.json_log is None


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "PORT=4001\nLOCAL_CONCURRENCY=3\n")
    settings = read_settings(tmp_path, {"PORT": "4002"})
    assert (settings.port, settings.concurrency) == (4002, 3)


def test_an_empty_variable_unsets_the_value_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "NEW_API_KEY=sk-file\nMASTER_KEY=\n")
    settings = read_settings(tmp_path, {"NEW_API_KEY": ""})
    assert settings.environment.get("NEW_API_KEY") is None
    assert settings.master_key is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param("KEY=plain", "plain", id="plain"),
        pytest.param("export KEY=plain", "plain", id="as a shell would read it"),
        pytest.param("KEY='single # $HOME'", "single # $HOME", id="single quotes"),
        pytest.param('KEY="double ${HOME} $x"', "double ${HOME} $x", id="a dollar stays a dollar"),
        pytest.param("KEY=value # a comment", "value", id="a comment"),
        pytest.param("# KEY=off\nKEY = spaced", "spaced", id="spaces"),
        pytest.param("KEY=a=b==", "a=b==", id="equals signs in the value"),
    ],
)
def test_lines_of_the_file(tmp_path: Path, line: str, value: str) -> None:
    assert read_settings(write(tmp_path, line + "\n"), {}).environment["KEY"] == value


def test_litellms_name_of_the_master_key_is_read_too(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {"LITELLM_MASTER_KEY": "sk-old"}).master_key == "sk-old"
    both = read_settings(tmp_path, {"LITELLM_MASTER_KEY": "sk-old", "MASTER_KEY": "sk-new"})
    assert both.master_key == "sk-new"
    assert both.secret(frozenset(), "sk-new")["UI_PASSWORD"] == "sk-new"


def test_the_secret_holds_what_is_set_and_nothing_else(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path, {"A_KEY": "a", "MASTER_KEY": "m", "UI_USERNAME": "u", "UI_PASSWORD": "p", "X": "y"}
    )
    assert settings.secret(frozenset({"A_KEY", "B_KEY"}), "m") == {
        "A_KEY": "a",
        "MASTER_KEY": "m",
        "UI_USERNAME": "u",
        "UI_PASSWORD": "p",
    }


def test_absolute_paths_are_left_alone(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "checkout", {"DATA_DIR": str(tmp_path / "d"), "ROUTES_FILE": "sub/r.yaml"})
    assert settings.data_dir == tmp_path / "d"
    assert settings.routes_file == tmp_path / "checkout" / "sub" / "r.yaml"


@pytest.mark.parametrize("text", ["abc", "-1", "70000", "4000.5"])
def test_an_invalid_port_is_rejected_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"PORT .*0 to 65535"):
        read_settings(tmp_path, {"PORT": text})


@pytest.mark.parametrize(("text", "json_log"), [("json", True), ("TEXT", False), ("", None)])
def test_the_log_format_can_be_chosen(tmp_path: Path, text: str, json_log: bool | None) -> None:
    assert read_settings(tmp_path, {"LOG_FORMAT": text}).json_log is json_log


def test_an_unknown_log_format_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LOG_FORMAT is 'xml'; it must be json or text"):
        read_settings(tmp_path, {"LOG_FORMAT": "xml"})


def test_no_concurrency_at_all_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LOCAL_CONCURRENCY"):
        read_settings(tmp_path, {"LOCAL_CONCURRENCY": "0"})
