"""Prices from the library go into a routes file, and nothing else in it changes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vibe_cli import app as cli
from vibe_cli.price_filling import Filling, fill, known_price
from vibe_cli.routes_file import load_file

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HEAD = """\
providers: # relays
  relay: {base_url: "${RELAY:-http://127.0.0.1:1/v1}", secret: RELAY_KEY}
  claude: {base_url: https://api.anthropic.com/v1, secret: CLAUDE_KEY}
models:
"""


def filled(text: str, tmp_path: Path) -> Filling:
    file = tmp_path / "routes.yaml"
    file.write_text(text, encoding="utf-8")
    filling = fill(text, load_file(file, {}), NOW)
    file.write_text(filling.text, encoding="utf-8")
    again = fill(filling.text, load_file(file, {}), NOW)
    assert (again.text, again.filled) == (filling.text, ()), "what is filled in is not filled in again"
    return filling


@pytest.mark.parametrize(
    ("chain", "becomes"),
    [
        pytest.param(
            "      - {provider: relay, model: gpt-5} # the second\n",
            "      - {provider: relay, model: gpt-5,\n         price: {PRICE}} # the second\n",
            id="a mapping in a line",
        ),
        pytest.param(
            "      - {provider: relay, model: ours, base_model: gpt-5}\n",
            "      - {provider: relay, model: ours, base_model: gpt-5,\n         price: {PRICE}}\n",
            id="a name of its own",
        ),
        pytest.param(
            "      - {\n          provider: relay,\n          model: gpt-5, # here\n        }\n",
            "      - {\n          provider: relay,\n          model: gpt-5,\n"
            "         price: {PRICE}, # here\n        }\n",
            id="a mapping in braces over lines",
        ),
        pytest.param(
            "      - provider: relay\n        model: gpt-5 # the model\n        # kept\n        weight: 2\n",
            "      - provider: relay\n        model: gpt-5 # the model\n        price: {PRICE}\n        # kept\n"
            "        weight: 2\n",
            id="a mapping over lines",
        ),
        pytest.param(
            "      - [{provider: relay, model: gpt-5}]\n",
            "      - [{provider: relay, model: gpt-5,\n          price: {PRICE}}]\n",
            id="a step of one in a list",
        ),
        pytest.param(
            '      - {provider: relay, price: {input: 9, output: 9, source: "genai-prices 0.0.1 (x)"}, model: gpt-5}\n',
            "      - {provider: relay, price: {PRICE}, model: gpt-5}\n",
            id="an older price of the library's",
        ),
        pytest.param(
            "      - provider: relay\n        model: gpt-5\n        price:\n          source: genai-prices 0.0.1\n"
            "          input: 9\n          output: 9\n        weight: 2\n",
            "      - provider: relay\n        model: gpt-5\n        price:\n          {PRICE}\n        weight: 2\n",
            id="an older price over lines",
        ),
        pytest.param(
            "      - {provider: relay, model: gpt-5, price: {input: 9, output: 9}}\n",
            "      - {provider: relay, model: gpt-5, price: {input: 9, output: 9}}\n",
            id="a price that was set by hand",
        ),
        pytest.param(
            "      - {provider: relay, model: nobody-knows-it}\n",
            "      - {provider: relay, model: nobody-knows-it}\n",
            id="an unknown model",
        ),
    ],
)
def test_a_price_is_written_where_it_belongs(tmp_path: Path, chain: str, becomes: str) -> None:
    known = known_price("gpt-5", "http://127.0.0.1:1/v1", NOW)
    assert known is not None
    price = ", ".join(f"{name}: {json.dumps(value).removesuffix('.0')}" for name, value in known.items())
    before = f"{HEAD}  auto-chat:\n    chain: # in order\n{chain}"
    after = f"{HEAD}  auto-chat:\n    chain: # in order\n{becomes}".replace("{PRICE}", f"{{{price}}}")
    assert filled(before, tmp_path).text == after


def test_every_deployment_gets_its_own_price(tmp_path: Path) -> None:
    chain = (
        "[[{provider: relay, model: gpt-5}, {provider: claude, model: claude-haiku-4-5}], {provider: relay, model: x}]"
    )
    filling = filled(f"{HEAD}  auto-chat: {{chain: {chain}}}\n", tmp_path)
    assert [(each.path, each.deployment, each.before) for each in filling.filled] == [
        ("models.auto-chat.chain[0][0]", "relay/gpt-5", None),
        ("models.auto-chat.chain[0][1]", "claude/claude-haiku-4-5", None),
    ]
    assert filling.unknown == ("relay/x",)
    spec = load_file(tmp_path / "routes.yaml", {})
    [[first, second], [third]] = spec.models["auto-chat"].chain
    assert first.price
    assert second.price
    assert (second.price.input, second.price.output, second.price.cache_read) == (1, 5, 0.1)
    assert str(second.price.source).startswith("genai-prices ")
    assert third.price is None


def test_bedrocks_prices_are_its_own_wherever_it_is_called(tmp_path: Path) -> None:
    text = HEAD.replace("models:", "  bedrock: {type: bedrock}\nmodels:")
    chain = (
        "      - {provider: bedrock, model: us.amazon.nova-pro-v1:0}\n      - {provider: bedrock, model: nobody-s}\n"
    )
    filling = filled(f"{text}  auto:\n    chain:\n{chain}", tmp_path)
    [only] = filling.filled
    assert str(only.after["source"]).endswith("(aws)")
    assert filling.unknown == ("bedrock/nobody-s",)


def test_the_price_is_that_of_the_api_where_the_library_knows_it() -> None:
    price = known_price("claude-haiku-4-5", "https://api.anthropic.com/v1", NOW)
    assert price
    assert "(anthropic)" in str(price["source"])


def test_the_command_writes_the_file_and_reports_the_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "routes.yaml"
    text = f"{HEAD}  auto-chat: {{chain: [{{provider: relay, model: gpt-5}}, {{provider: relay, model: x}}]}}\n"
    file.write_text(text, encoding="utf-8")
    assert cli.main(["prices", "--file", str(file), "--dry-run"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert (reported["written"], reported["unknown"], len(reported["changes"])) == (False, ["relay/x"], 1)
    assert file.read_text(encoding="utf-8") == text
    assert cli.main(["prices", "--file", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["written"] is True
    assert "price: {input: 1.25, output: 10" in file.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["routes.yaml"]


def test_a_file_that_is_wrong_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("models: 7\n", encoding="utf-8")
    assert cli.main(["prices", "--file", str(file)]) == 1
    assert "Nothing was written." in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "models: 7\n"
