"""Take the README's pictures of the admin page: docs/images/*.png, light and dark, by `make screenshots`.

A whole local stack is started with stand-in providers. Its usage table gets a week of made-up requests, with the rows
that the gateway writes; a few real ones then fail over, so that cooldowns and request details are real.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import boto3
import httpx
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from local.standin import Standin
from scripts.artefacts import ROOT
from vibe_router.core.price import Price, cost
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.store.dynamodb import to_item

Scheme = Literal["light", "dark"]
IMAGES = ROOT / "docs/images"
KEY = "sk-vibe-local"
DAYS = 8
_SIZE: ViewportSize = {"width": 1200, "height": 800}
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_PROVIDERS = {
    "cliproxyapi": ("CLIPROXYAPI_BASE_URL", "CHAT_AUTO_API_KEY"),
    "new-api": ("NEW_API_BASE_URL", "NEW_API_KEY"),
    "ark": ("ARK_BASE_URL", "ARK_API_KEY"),
}
_SHARES = {"auto-chat": 5, "auto-chat-mini": 3, "auto-claude": 3, "auto-claude-mini": 1}  # of the requests


@dataclass(frozen=True)
class Stack:
    """A local stack: its address, its data folder, and the stand-in of its providers."""

    root: str
    data: Path
    standin: Standin

    def admin(self, method: str, path: str, **body: Any) -> Any:
        """Call the admin API."""
        headers = {"authorization": f"Bearer {KEY}"}
        answer = httpx.request(method, f"{self.root}/{path}", json=body or None, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def ask(self, key: str, model: str, text: str) -> httpx.Response:
        """Send a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.root}/v1/chat/completions", json=body, headers=headers, timeout=60)


def main() -> int:
    """Take every picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, started(Path(directory)) as stack, sync_playwright() as playwright:
        request_id = prepared(stack)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme in _SCHEMES:
            for name in pictures(browser, stack, scheme, request_id):
                print(f"docs/images/{name}: {(IMAGES / name).stat().st_size // 1024} KiB")
        browser.close()
    return 0


@contextmanager
def started(data: Path) -> Iterator[Stack]:
    """Start a stack in front of stand-ins; stop it on exit."""
    with Standin() as standin, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VIBE_"))}
        environ |= {"PORT": str(port), "MASTER_KEY": KEY, "DATA_DIR": str(data / "state")}
        for provider, (url, secret) in _PROVIDERS.items():
            environ |= {url: standin.base_url(provider), secret: f"sk-{provider}"}
        process = subprocess.Popen(
            [sys.executable, "-m", "local"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            stack = Stack(f"http://127.0.0.1:{port}", data / "state", standin)
            _wait_for(stack, process)
            yield stack
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _wait_for(stack: Stack, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{stack.root}/health/readiness").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the local stack did not start; `make start` prints the reason")


# --- the data ---


def prepared(stack: Stack) -> str:
    """Fill the stack; return the id of a request that failed over."""
    apps = stack.admin("POST", "team/new", team_alias="Apps", models=["auto-*"], max_budget=400, budget_duration="30d")
    stack.admin("POST", "team/update", team_id=apps["team_id"], spend=143.2)
    holders = []
    for alias, spend, fields in (
        ("checkout-assistant", 118.4, {"max_budget": 150, "budget_duration": "30d", "rpm_limit": 120}),
        ("nightly-reports", 4.31, {"max_budget": 5, "budget_duration": "1d", "max_parallel_requests": 4}),
        ("support-bot", 20.5, {"models": ["auto-chat-mini"], "max_budget": 80, "budget_duration": "30d"}),
        ("mia, laptop", 9.7, {"duration": "30d", "models": ["auto-claude*", "auto-chat"]}),
    ):
        made = stack.admin("POST", "key/generate", key_alias=alias, **fields)
        stack.admin("POST", "key/update", key=made["token"], spend=spend)
        holders.append(made)
    key = holders[0]["key"]
    stack.standin.fault("cliproxyapi", "429", model="claude-sonnet-4-6", headers={"retry-after": "1500"})
    stack.standin.fault("new-api", "503", model="gpt-5", times=2)
    request_id = stack.ask(key, "auto-chat", "Which of these orders can still be changed?").headers["x-vibe-request-id"]
    stack.ask(key, "auto-chat", "And which are on their way?")
    stack.standin.fault("cliproxyapi", "model_cooldown", model="gemini-2.5-flash")
    stack.ask(holders[2]["key"], "auto-chat-mini", "Say it in French")
    time.sleep(6)  # until the cooldown of gpt-5 has ended
    stack.ask(key, "auto-chat", "Thank you")
    _write_history(stack, holders)  # last, beside the few real requests
    return str(request_id)


def _write_history(stack: Stack, holders: list[dict[str, Any]]) -> None:
    written = json.loads((stack.data / "local.json").read_text(encoding="utf-8"))
    client = boto3.client(
        "dynamodb",
        endpoint_url=written["endpoint"],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the embedded AWS accepts any
    )
    chance = random.Random(7)  # noqa: S311 - reproducible images
    now = time.time()
    chains = stack.admin("GET", "routes")["chains"]
    records = [_made_up(chance, f"made-up-{n}", now - ago, chains, holders) for n, ago in enumerate(_moments(chance))]
    items = [to_item(record.as_row(90)) for record in records]
    for start in range(0, len(items), 25):  # the most that one call accepts
        puts: list[Any] = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        client.batch_write_item(RequestItems={written["usage_table"]: puts})
    while stack.admin("GET", "usage/overview?days=30")["totals"]["requests"] < len(records):
        time.sleep(0.5)  # until the aggregator has counted them


def _moments(chance: random.Random) -> Iterator[float]:
    """Yield the age of each request in seconds: more by day, on working days, and in the last day."""
    for hour in range(DAYS * 24):
        then = time.localtime(time.time() - hour * 3600)
        busy = (0.25 + max(0, 6 - abs(14 - then.tm_hour)) / 3) * (0.4 if then.tm_wday > 4 else 1)
        for _ in range(round(busy * chance.uniform(0.7, 1.3) * (9 if hour < 24 else 1.4))):
            yield 60 + hour * 3600 + chance.uniform(0, 3500)


def _made_up(
    chance: random.Random, request_id: str, started: float, chains: dict[str, Any], holders: list[dict[str, Any]]
) -> Record:
    model = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
    chain = [member for step in chains[model] for member in step]
    holder = chance.choices(holders, (6, 2, 4, 2))[0]
    luck = chance.random()
    served = 0 if luck < 0.86 else 1 if luck < 0.985 else None
    failed = len(chain) if served is None else served
    attempts = [
        {"deployment": each["deployment"], "verdict": "rate_limited", "status": 429, "ms": 140.0}
        for each in chain[:failed]
    ]
    known: dict[str, Any] = {"status": 502, "error": "all_deployments_failed"}
    if served is not None:
        member = chain[served]
        ttft = chance.lognormvariate(6.4, 0.35) + 140 * served
        tokens = Usage(prompt_tokens=chance.randint(300, 9000), completion_tokens=chance.randint(80, 1600))
        attempts.append({"deployment": member["deployment"], "verdict": "ok", "status": 200, "ms": round(ttft, 1)})
        known = {
            "deployment": member["deployment"],
            "provider_model": member["model"],
            "usage": tokens,
            "cost": cost(Price(**member["price"]) if member["price"] else None, tokens),
            "ttft_ms": round(ttft, 1),
            "user": chance.choice(("mia@example.com", "tom@example.com", "build")),
            "tags": (chance.choice(("checkout", "nightly", "support")),),
        }
    return Record(
        request_id,
        round(started, 3),
        key=holder["key_id"],
        key_alias=holder["key_alias"],
        model=model,
        resolved=True,
        stream=True,
        attempts=tuple(attempts),
        fallbacks=failed,
        total_ms=round(chance.uniform(1500, 9000), 1),
        **known,
    )


# --- the images ---


def pictures(browser: Browser, stack: Stack, scheme: Scheme, request_id: str) -> Iterator[str]:
    """Take the images of one colour scheme; yield their names."""
    context = browser.new_context(viewport=_SIZE, color_scheme=scheme, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{stack.root}/ui/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.locator(".tiles").wait_for(timeout=120_000)  # failed reads are retried
    yield _taken(page, f"overview-{scheme}.png")
    _show(page, "usage")
    page.locator(".charts").wait_for(timeout=120_000)
    yield _taken(page, f"usage-{scheme}.png")
    _show(page, "models")
    yield _taken(page, f"models-{scheme}.png")
    _show(page, f"requests/{request_id}")
    page.locator(".attempts").wait_for()
    page.locator(".requests table").wait_for(timeout=120_000)
    yield _taken(page, f"request-{scheme}.png")
    context.close()


def _show(page: Page, view: str) -> None:
    page.evaluate(f"location.hash = '#/{view}'")
    page.wait_for_timeout(300)
    page.locator(".skeleton").first.wait_for(state="detached")


def _taken(page: Page, name: str) -> str:
    page.wait_for_timeout(700)
    page.screenshot(path=IMAGES / name)
    return name


if __name__ == "__main__":
    sys.exit(main())
