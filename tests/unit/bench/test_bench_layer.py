import subprocess
from pathlib import Path

from bench.layer import interpreter


def test_the_interpreter_finds_what_the_layers_bring_and_nothing_else(tmp_path: Path) -> None:
    python = interpreter(
        tmp_path / "python", ["httpx", "httpcore", "h11", "anyio", "idna", "certifi", "no-such-library"]
    )
    program = (
        "import importlib.util as util, httpx\n"
        "print(httpx.__version__, [name for name in ('httpx', 'pytest', 'moto') if util.find_spec(name)])"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split(" ", 1)[1].strip() == "['httpx']"
