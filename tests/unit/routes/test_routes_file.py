import subprocess
import sys
from pathlib import Path

import pytest

from vibe_cli.routes_file import RoutesFileError, load_file
from vibe_router.core.models import Policy
from vibe_router.routing.spec import resolve

CHECKOUT = Path(__file__).parents[3]

GOOD = """\
providers:
  ark:
    base_url: "${ARK_BASE_URL:-https://ark.example/v3}"
    secret: ARK_API_KEY
models:
  auto:
    chain:
      - {provider: ark, model: glm-4.7}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "routes.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def mistakes(file: Path, environ: dict[str, str] | None = None) -> list[str]:
    """Return the problems of an invalid file, a line for each, without the folder."""
    with pytest.raises(RoutesFileError) as rejected:
        load_file(file, environ or {})
    return str(rejected.value).replace(f"{file.parent}/", "").splitlines()


def test_the_six_virtual_models_are_the_contract_s() -> None:
    catalogue, problems = resolve(load_file(CHECKOUT / "routes.yaml", {}))
    assert problems == []
    assert {name: [each.id for each in model.chain] for name, model in catalogue.models.items()} == {
        "auto-chat": ["cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5", "ark/glm-4.7"],
        "auto-chat-mini": ["cliproxyapi/gemini-2.5-flash", "new-api/gpt-5-mini", "ark/ark-code-latest"],
        "auto-claude": ["cliproxyapi/claude-sonnet-4-5", "ark/glm-4.7"],
        "auto-claude-mini": ["cliproxyapi/claude-haiku-4-5", "ark/glm-4.7"],
        "auto-codex": ["new-api/gpt-5.2-codex"],
        "auto-codex-mini": ["new-api/gpt-5.1-codex-mini"],
    }
    assert all(model.description for model in catalogue.models.values())
    for name, model in catalogue.models.items():
        for deployment in model.chain:
            assert deployment.policy.timeouts.first_token == (300 if "codex" in name else 60)
            spoken = {"cliproxyapi": ("chat", "responses", "messages")}.get(deployment.provider.name, ("chat",))
            assert deployment.formats == (("responses",) if "codex" in name else spoken)
    assert next(catalogue.models["auto-chat"].chain).policy == Policy()
    providers = {each.provider.name: each.provider for each in catalogue.deployments.values()}
    assert {name: (provider.base_url, provider.secret) for name, provider in providers.items()} == {
        "cliproxyapi": ("http://127.0.0.1:8317/v1", "CHAT_AUTO_API_KEY"),
        "new-api": ("http://127.0.0.1:3000/v1", "NEW_API_KEY"),
        "ark": ("https://ark.cn-beijing.volces.com/api/coding/v3", "ARK_API_KEY"),
    }


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://ark.example/v3"),
        ({"ARK_BASE_URL": ""}, "https://ark.example/v3"),
        ({"ARK_BASE_URL": "http://127.0.0.1:9/v3"}, "http://127.0.0.1:9/v3"),
    ],
    ids=["unset", "set to nothing", "set"],
)
def test_a_variables_default_is_used_as_in_a_shell(tmp_path: Path, environ: dict[str, str], url: str) -> None:
    assert load_file(write(tmp_path, GOOD), environ).providers["ark"].base_url == url


def test_a_variable_without_quotes_may_be_a_number(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + "    retries: ${RETRIES:-3}\n    timeouts:\n      idle: ${IDLE}\n")
    auto = load_file(file, {"IDLE": "7.5"}).models["auto"]
    assert auto.retries == 3
    assert auto.timeouts is not None
    assert auto.timeouts.idle == 7.5


def test_the_value_of_a_variable_is_never_parsed_as_yaml(tmp_path: Path) -> None:
    text = GOOD.replace("    chain:", "    description: ${TEXT}\n    chain:")
    file = write(tmp_path, text)
    assert load_file(file, {"TEXT": "a: {b: c} # \n- d"}).models["auto"].description == "a: {b: c} # \n- d"


def test_anchors_aliases_and_merges_are_fine(tmp_path: Path) -> None:
    text = """\
providers:
  a: &a
    base_url: http://a
    secret: A
    timeouts: &patient {idle: 100}
  b:
    <<: *a
    base_url: http://b
models:
  m:
    timeouts: *patient
    chain: &chain
      - {provider: a, model: x}
  n:
    chain: *chain
"""
    spec = load_file(write(tmp_path, text), {})
    assert spec.providers["b"].base_url == "http://b"
    assert spec.providers["b"].secret == "A"
    assert spec.models["n"].chain == spec.models["m"].chain
    assert spec.models["m"].timeouts == spec.providers["a"].timeouts


FILES: list[tuple[str, str, list[str]]] = [
    (
        "an unknown provider",
        GOOD + "      - {provider: akr, model: x}\n",
        ["routes.yaml:9: models.auto.chain[1].provider: unknown provider 'akr'; did you mean 'ark'?"],
    ),
    (
        "a repeated deployment",
        GOOD + "      - provider: ark\n        model: glm-4.7\n",
        ["routes.yaml:9: models.auto.chain[1]: repeats ark/glm-4.7, which is already at chain[0]"],
    ),
    (
        "an unknown setting",
        GOOD + "    timeouts:\n      frist_token: 3\n",
        ["routes.yaml:10: models.auto.timeouts.frist_token: unknown setting; did you mean 'first_token'?"],
    ),
    (
        "several mistakes, in the order of their lines",
        "providers:\n  ark:\n    base_url: ftp://x\n    secret: A\n  b: {}\n"
        "models:\n  m:\n    retries: x\n    chain: []\n",
        [
            "routes.yaml:3: providers.ark.base_url: must be an http:// or https:// URL with a host, such as "
            "https://api.example.com/v1",
            "routes.yaml:5: providers.b.base_url: is missing",
            "routes.yaml:5: providers.b.secret: is missing",
            "routes.yaml:8: models.m.retries: must be a whole number",
            "routes.yaml:9: models.m.chain: is empty; name at least one deployment, such as "
            "{provider: NAME, model: NAME}",
        ],
    ),
    (
        "a duplicate name",
        GOOD + "  auto:\n    chain: []\n",
        ["routes.yaml:9: models.auto: is a duplicate; line 6 has the same name"],
    ),
    (
        "a variable that is not set",
        GOOD.replace(":-https://ark.example/v3", ""),
        [
            "routes.yaml:3: providers.ark.base_url: needs ARK_BASE_URL, which is not set; set it, or write "
            "${ARK_BASE_URL:-default}"
        ],
    ),
    (
        "a variable that is not closed",
        GOOD.replace("v3}", "v3"),
        ["routes.yaml:3: providers.ark.base_url: holds a `${` that is neither ${NAME} nor ${NAME:-default}"],
    ),
    (
        "a tag that would run something",
        GOOD.replace("ARK_API_KEY", "!!python/object/apply:os.system [exit]"),
        [
            "routes.yaml:4: providers.ark.secret: must be a plain value and not a python/object/apply:os.system; "
            "quote it if it is meant as text"
        ],
    ),
    (
        "a date where a name belongs",
        GOOD.replace("glm-4.7", "2026-01-01"),
        [
            "routes.yaml:8: models.auto.chain[0].model: must be a plain value and not a timestamp; "
            "quote it if it is meant as text"
        ],
    ),
    (
        "a number that its tag says is one",
        GOOD + "    retries: !!int three\n",
        ["routes.yaml:9: models.auto.retries: cannot be read as int"],
    ),
    (
        "a truth that its tag says is one",
        GOOD + "    retries: !!bool maybe\n",
        ["routes.yaml:9: models.auto.retries: cannot be read as bool"],
    ),
    (
        "a name that its tag says is a number",
        GOOD + "  !!int '': {}\n",
        ["routes.yaml:9: models: holds a name that is not text; quote it"],
    ),
    (
        "an alias of what it stands in",
        GOOD + "    timeouts: &t {idle: *t}\n",
        ["routes.yaml:9: models.auto.timeouts.idle: holds itself, by an alias"],
    ),
    (
        "a merge of what is no mapping",
        GOOD + "    <<: 5\n",
        ["routes.yaml:9: models.auto: `<<` takes a mapping, or a list of them"],
    ),
    (
        "a name that is no text",
        GOOD + "  ? [a]\n  : {}\n",
        ["routes.yaml:9: models: holds a name that is not text; quote it"],
    ),
    (
        "a missing part",
        "providers:\n  ark: {base_url: http://x, secret: A}\n",
        ["routes.yaml: models: is missing; name at least one"],
    ),
    ("nothing", "", ["routes.yaml: must hold `providers` and `models`"]),
    ("a comment", "# to do\n", ["routes.yaml: must hold `providers` and `models`"]),
    (
        "two documents",
        GOOD + "---\n{}\n",
        ["routes.yaml:9: is not YAML: expected a single document in the stream, but found another document"],
    ),
    (
        "a bracket that is not closed",
        "providers: {\n",
        ["routes.yaml:2: is not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"],
    ),
    (
        "a tab for an indent",
        "providers:\n\tark: {}\n",
        [
            "routes.yaml:2: is not YAML: while scanning for the next token, "
            "found character '\\t' that cannot start any token"
        ],
    ),
    (
        "a control character",
        "providers:\n  \x01: {}\n",
        ["routes.yaml:2: is not YAML: it holds a control character"],
    ),
    ("brackets without end", "[" * 5000, ["routes.yaml: is nested too deeply"]),
]


@pytest.mark.parametrize(("text", "reported"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_a_mistake_in_the_file_is_reported_with_its_line(tmp_path: Path, text: str, reported: list[str]) -> None:
    assert mistakes(write(tmp_path, text)) == reported


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "routes.yaml") == ["routes.yaml: cannot be read: No such file or directory"]


def test_a_binary_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_bytes(b"\xff\xfe\x00")
    assert mistakes(tmp_path / "routes.yaml") == ["routes.yaml: is not UTF-8 text"]


def test_the_gateway_does_not_import_pyyaml() -> None:
    program = "import sys; sys.modules['yaml'] = None; from gateway import app; import vibe_router.store.routes"
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert done.returncode == 0
