import json
import os
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from vibe_cli.chat_client import NoKeyError, find_key
from vibe_cli.checkout import CHECKOUT as ROOT
from vibe_cli.operated import deployed, local_stack


def test_a_deployed_stacks_names_are_the_templates() -> None:
    resources: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]

    def name(resource: str, field: str) -> str:
        written: str = resources[resource]["Properties"][field]["Fn::Sub"]
        return written.replace("${AWS::StackName}", "mine")

    stack = deployed("mine", {})
    assert stack.routes.table == name("RoutesTable", "TableName")
    assert stack.state_table == name("StateTable", "TableName")
    assert stack.log_group == name("GatewayLogGroup", "LogGroupName")


def _write(folder: Path, **changed: object) -> dict[str, str]:
    written = {"pid": os.getpid(), "endpoint": "http://127.0.0.1:9", "routes_table": "r", "state_table": "s"} | changed
    (folder / "local.json").write_text(json.dumps(written))
    return {"DATA_DIR": str(folder)}


def test_the_local_stack_is_found_while_it_lives(tmp_path: Path) -> None:
    found = local_stack(_write(tmp_path))
    assert found
    assert (found.routes.table, found.state_table, found.log_group) == ("r", "s", None)
    assert found.routes.endpoint == "http://127.0.0.1:9"


@pytest.mark.parametrize("changed", [{"pid": 2**22 + 1}, {"pid": "x"}, {"endpoint": None, "pid": None}], ids=str)
def test_a_stack_that_has_ended_is_not_found(tmp_path: Path, changed: dict[str, object]) -> None:
    assert local_stack(_write(tmp_path, **changed)) is None
    assert local_stack({"DATA_DIR": str(tmp_path / "none")}) is None


def test_the_key_comes_from_the_environment() -> None:
    far = "https://a.example/prod/v1"
    assert find_key(far, None, {"KEY": "sk-1", "MASTER_KEY": "sk-2"}) == "sk-1"
    assert find_key(far, "OURS", {"KEY": "sk-1", "OURS": "sk-3\n"}) == "sk-3"
    with pytest.raises(NoKeyError, match="OURS"):
        find_key(far, "OURS", {"KEY": "sk-1"})


def test_the_local_key_is_never_sent_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "master-key").write_text("sk-local\n", encoding="utf-8")
    local = {"DATA_DIR": str(tmp_path)}
    assert find_key("http://127.0.0.1:4000/v1", None, {"KEY": "", "MASTER_KEY": "sk-m"}) == "sk-m"
    assert find_key("http://localhost:4000", None, local) == "sk-local"
    for url in ("https://a.example/v1", "http://127.0.0.1.a.example/v1", "http://localhost@a.example"):
        with pytest.raises(NoKeyError):
            find_key(url, None, local)
