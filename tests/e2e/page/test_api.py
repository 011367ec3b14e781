"""The API view: each operation's description and its curl command, which works as shown."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.traffic import ask
from tests.e2e.stack import KEY, Stack

# The examples for routes name a version that never exists, so that running them changes nothing.
EXPECTED = {
    "#/api/put/routes": (409,),
    "#/api/post/routes/rollback": (404, 409),
    # No secret, user, receiver or alert is named, and no request is archived.
    "#/api/put/secrets/{name}": (404,),
    "#/api/delete/secrets/{name}": (404,),
    "#/api/get/user/info": (400,),
    "#/api/post/alerts/test": (404,),
    "#/api/post/alerts/{alert_id}/resend": (404,),
    "#/api/get/usage/requests/{request_id}/archive": (404,),
    "#/api/get/me/requests/{request_id}/archive": (404,),
}


def operation(visitor: Visitor, name: str) -> Locator:
    """Open one operation, such as "post/key/generate"."""
    found = visitor.page.locator(f'.operation[data-operation="#/api/{name}"]')
    found.locator("summary").first.click()
    return found


def test_operations_are_listed_by_tag(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    page = visit().open("api").page
    described = httpx.get(f"{used_stack.root}/ui/openapi.json").json()
    names = {f"#/api/{method}{path}" for path, methods in described["paths"].items() for method in methods}
    shown = page.locator(".operation")
    assert {each.get_attribute("data-operation") for each in shown.all()} == names
    assert page.locator(".operations h2").all_inner_texts() == [tag["name"] for tag in described["tags"]]
    expect(page.get_by_role("status").filter(has_text="operations")).to_have_text(f"{len(names)} operations")


def test_operation_shows_fields_and_responses(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.open("api")
    generate = operation(visitor, "post/key/generate")
    budget = generate.get_by_role("listitem").filter(has=visitor.page.get_by_text("max_budget", exact=True))
    expect(budget).to_contain_text("number or null")
    expect(budget).to_contain_text("The budget in USD")
    expect(budget).to_contain_text("0 to 1,000,000,000")
    expect(generate.locator(".answers")).to_contain_text("The key, and in key its secret.")
    generate.get_by_text("Error format").click()
    generate.get_by_text("Fields", exact=True).click()
    expect(generate.get_by_text("what went wrong, for programs")).to_be_visible()
    generate.get_by_text("without effect").click()
    expect(generate.get_by_text("model_max_budget", exact=True)).to_be_visible()

    listed = operation(visitor, "get/key/list")
    size = listed.get_by_role("listitem").filter(has=visitor.page.get_by_text("size", exact=True))
    expect(size).to_contain_text("whole number")
    expect(size).to_contain_text("1 to 100; default 10")
    expect(listed).to_contain_text("one of asc, desc")
    changed = operation(visitor, "post/key/update")
    expect(changed.locator(".api-fields > li").first).to_contain_text("key text required")


def test_nested_objects_unfold(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.open("api")
    scope = operation(visitor, "put/routes")
    for field in ("models", "chain", "price"):
        # The last match: nested fields are built when their parent is opened.
        item = scope.locator("li", has=visitor.page.locator(f'> p .field-name:text-is("{field}")')).last
        item.locator("> .nested > summary").click()
    expect(scope.get_by_text("cache_read", exact=True)).to_be_visible()


def test_find_operations_by_path_word_or_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open().page
    search = page.get_by_label("Find operations")
    with visitor.delayed("ui/openapi.json"):
        page.get_by_role("link", name="API").click()
        search.fill("grace_period")  # before the document is loaded
    expect(page.locator(".operation")).to_have_count(2)
    search.fill("get cooldown")
    expect(page.locator(".operation")).to_have_count(1)
    search.fill("<b>nothing</b>")
    expect(page.get_by_text("No matching operation")).to_be_visible()
    visitor.button("Clear search").click()
    expect(search).to_be_focused()
    expect(page.get_by_role("heading", name="Teams")).to_be_visible()


def test_operation_has_its_own_url(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open("api").page
    operation(visitor, "get/usage/requests/{request_id}")
    expect(page).to_have_url(re.compile(r"#/api/get/usage/requests/(\{request_id\}|%7Brequest_id%7D)$"))
    page.reload()
    opened = page.locator(".operation[open]")
    expect(opened).to_have_count(1)
    expect(opened.locator("pre")).to_contain_text('/usage/requests/"$REQUEST_ID"')
    expect(opened).to_be_in_viewport()


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_every_curl_command_works_as_shown(visit: Callable[..., Visitor], used_stack: Stack, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.open("api").page
    asked = ask(used_stack, KEY).headers["x-vibe-request-id"]
    used_stack.decision(asked)
    own = {"MASTER_KEY": KEY, "PASSWORD": KEY, "REQUEST_ID": asked}
    for summary in page.locator(".operation > summary").all():
        summary.click()
    commands: dict[str, str] = {}
    for each in page.locator(".operation").all():
        commands[str(each.get_attribute("data-operation"))] = each.locator("pre").inner_text()
    first = page.locator(".operation").first
    visitor.button("Copy", first).click()
    expect(visitor.button("Copied", first)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == next(iter(commands.values()))

    _, team = run(commands.pop("#/api/post/team/new"), own, tmp_path)
    own["TEAM_ID"] = team["team_id"]
    wrong = {}
    for name in sorted(commands, key=lambda name: (name.endswith("/delete"), "sign-in" not in name)):
        status, reply = run(commands[name], own, tmp_path)
        if isinstance(reply, dict) and str(reply.get("key", "")).startswith("sk-"):
            own["KEY"] = reply["key"]  # the one that was created or rotated
        # No shipped model is routed by complexity.
        if status not in EXPECTED.get(name, (200, 400, 404) if "/complexity/" in name else (200,)):
            wrong[name] = (commands[name], status, reply)
    assert not wrong


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_curl_commands_include_the_stage(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit(prefix="/prod", signed_out=True)
    visitor.open("api")
    line = operation(visitor, "get/key/list").locator("pre").inner_text()
    assert line.startswith(f"curl {visitor.root}/key/list ")
    status, reply = run(line, {"MASTER_KEY": KEY}, tmp_path)
    assert (status, "keys" in reply) == (200, True)


def run(line: str, own: dict[str, str], directory: Path) -> tuple[int, Any]:
    """Run a command in a shell; return the status and the body of the response."""
    program = f"""curl() {{ command curl --silent --max-time 60 --write-out '\\n%{{http_code}}' "$@"; }}\n{line}"""
    environ = {"PATH": os.environ["PATH"], **own}
    done = subprocess.run(
        ["bash", "-c", program], env=environ, cwd=directory, capture_output=True, text=True, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith(("{", "[")) else body  # of /metrics


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_model_api_is_shown_beside_the_admin_api(
    visit: Callable[..., Visitor], used_stack: Stack, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.open("api").page
    visitor.choose("Model API")
    described = httpx.get(f"{used_stack.root}/openapi.json").json()["paths"]
    names = {f"#/api/models/{method}{path}" for path, methods in described.items() for method in methods}
    visitor.wait_until_loaded()
    shown = page.locator(".operation")
    assert {each.get_attribute("data-operation") for each in shown.all()} == names
    for name in ("post/v1/chat/completions", "post/v1/responses", "post/v1/messages", "get/v1/models"):
        command = operation(visitor, f"models/{name}").locator("pre").inner_text()
        status, reply = run(command, {"KEY": KEY}, tmp_path)
        assert status == 200, (command, reply)
    upload = operation(visitor, "models/post/v1/audio/transcriptions")
    expect(upload.locator("pre")).to_contain_text('-F file=@"$FILE"')
    expect(upload.locator(".answers")).to_contain_text("The key is missing, unknown, expired or blocked.")
    health = operation(visitor, "models/get/health/readiness")
    expect(health.locator("pre")).to_have_text(f"curl {visitor.root}/health/readiness")
    page.reload()
    expect(page.locator(".operation[open]")).to_have_count(1)
    visitor.choose("Admin API")
    expect(page.get_by_role("heading", name="Teams")).to_be_visible()


def test_model_api_of_the_router_is_shown(visit: Callable[..., Visitor], used_stack: Stack) -> None:
    described = httpx.get(f"{used_stack.root}/openapi.json").json()
    names = {f"#/api/models/{method}{path}" for path, methods in described["paths"].items() for method in methods}
    visitor = visit()
    visitor.open("api")
    visitor.choose("Model API")
    expect(visitor.page.locator(".operation")).to_have_count(len(names))
    shown = visitor.page.locator(".operation").all()
    assert {each.get_attribute("data-operation") for each in shown} == names
    chat = operation(visitor, "models/post/v1/chat/completions")
    expect(chat.locator("pre").first).to_contain_text('"model": "auto-chat"')
    expect(chat.locator(".answers")).to_contain_text("Every deployment failed")
