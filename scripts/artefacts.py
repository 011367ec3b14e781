"""Assemble the layer and the functions for Lambda's Python and processor, on any machine.

    python -m scripts.artefacts layer OUT
    python -m scripts.artefacts function SOURCE OUT

`sam build` calls this through the Makefiles in layers/ and functions/, by artefacts.sh. The layer serves both of
Lambda's architectures, because SAM does not tell a Makefile for which one it builds. The result depends only on the
sources and the lock: the same files, bytes and times in every build.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = [
    "PYTHON_VERSION",
    "assemble_function",
    "assemble_layer",
    "for_target",
    "install_libraries",
    "lambda_python",
]

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VERSION = "3.13"

# pip's names of Lambda's processors. Amazon Linux 2023 has glibc 2.34, so wheels for 2.28 and 2.17 run.
PLATFORMS = {
    "arm64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "x86_64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
}
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

# Below the layer's python/: unused by the functions, as a test that imports everything confirms.
UNUSED = (
    "*.dist-info",  # unused, and pydantic starts faster without entry points to search
    "bin",
    "**/tests",
    "**/*.pyi",
    "**/*.c",
    "**/py.typed",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
)

# 1980-01-01: the first time that a zip file can represent.
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


def assemble_layer(out: Path) -> None:
    """Write the router and its locked libraries to `out`, the root of a layer. Raises CalledProcessError (pip)."""
    site = out / "python"
    _empty(out)
    install_libraries(site)
    _trim(site)
    _copy_sources(ROOT / "layers/router/vibe_router", site / "vibe_router")
    _finish(out, "/opt")


def assemble_function(source: Path, out: Path) -> None:
    """Write the modules of the function in `source` to `out`, its task root."""
    _empty(out)
    _copy_sources(source, out)
    _finish(out, "/var/task")


def lambda_python() -> str | None:
    """Return a Python of Lambda's version that runs on this machine, or None; LAMBDA_PYTHON is tried first."""
    wanted = f"import sys; sys.exit(sys.version_info[:2] != ({PYTHON_VERSION.replace('.', ', ')}))"
    # Names on PATH may be pyenv's shims, which only run if their version is selected.
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{PYTHON_VERSION}.*/bin/python"), reverse=True)
    for candidate in (os.environ.get("LAMBDA_PYTHON"), sys.executable, f"python{PYTHON_VERSION}", "python3", *pyenv):
        found = shutil.which(candidate) if candidate else None
        if found and subprocess.run([found, "-c", wanted], capture_output=True, check=False).returncode == 0:
            return found
    return None


def install_libraries(site: Path) -> None:
    """Install the lock for the first architecture, and for the others what is compiled: its names tell them apart.

    Raises CalledProcessError (pip).
    """
    first, *others = PLATFORMS
    _pip_install(site, first)
    compiled = _compiled_distributions(site)
    for architecture in others:
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / "python"
            _pip_install(other, architecture, compiled)
            for module in other.rglob("*.so"):
                shutil.copyfile(module, site / module.relative_to(other))


def _pip_install(site: Path, architecture: str, names: frozenset[str] | None = None) -> None:
    """Install the lock for `architecture`, or only the distributions `names` of it."""
    # pip would evaluate the lock's markers for this machine, so they are evaluated here for Lambda.
    target = {
        "python_version": PYTHON_VERSION,
        "python_full_version": f"{PYTHON_VERSION}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": MACHINES[architecture],
        "implementation_name": "cpython",
    }
    pinned = for_target((ROOT / "requirements/runtime.txt").read_text(encoding="utf-8"), target)
    wanted = [line for line in pinned if names is None or canonicalize_name(line.split("==")[0]) in names]
    lock = site.parent / "lock.txt"
    lock.write_text("\n".join(wanted))
    platforms = [argument for platform in PLATFORMS[architecture] for argument in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--requirement", str(lock)]
    command += ["--implementation", "cp", "--python-version", PYTHON_VERSION, *platforms, "--target", str(site)]
    subprocess.run(command, check=True)
    lock.unlink()


def _compiled_distributions(site: Path) -> frozenset[str]:
    """Return the normalized names of the installed distributions that have compiled modules."""
    return frozenset(
        canonicalize_name(record.parent.name.partition("-")[0])
        for record in site.glob("*.dist-info/RECORD")
        if ".so," in record.read_text(encoding="utf-8")
    )


def for_target(lock: str, target: dict[str, str]) -> Iterable[str]:
    """Yield the requirements in `lock` for `target`, with hashes and without markers."""
    for entry in lock.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        text, *hashes = entry.split(" --hash=")
        requirement = Requirement(text.strip())
        if requirement.marker is None or requirement.marker.evaluate(dict(target)):
            pinned = f"{requirement.name}{requirement.specifier}"
            yield " ".join([pinned, *(f"--hash={value.strip()}" for value in hashes)])


def _trim(site: Path) -> None:
    for pattern in UNUSED:
        for path in list(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _copy_sources(source: Path, out: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "Makefile":
            target = out / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _finish(out: Path, deployed_at: str) -> None:
    python = lambda_python()
    if python:
        # Lambda mounts both read-only, so without bytecode every cold start would compile its imports. Unchecked,
        # because file times in Lambda are meaningless. A fixed hash seed and a single process make builds identical.
        command = [python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
        command += ["-s", str(out), "-p", deployed_at, str(out)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    else:
        print(
            f"No bytecode, because there is no Python {PYTHON_VERSION} on this machine: every cold start will compile "
            "the imports, which takes seconds. Install it, or set LAMBDA_PYTHON to its path, and build again.",
            file=sys.stderr,
        )
    for path in [out, *out.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def main() -> None:
    """Read the command line and assemble one artefact."""
    parser = argparse.ArgumentParser(description="Assemble the layer and the functions.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    layer = kinds.add_parser("layer", help="the router layer")
    layer.add_argument("out", type=Path)
    function = kinds.add_parser("function", help="one function")
    function.add_argument("source", type=Path)
    function.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.kind == "layer":
            assemble_layer(arguments.out.resolve())
        else:
            assemble_function(arguments.source.resolve(), arguments.out.resolve())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed with status {error.returncode}; see its output above.")


if __name__ == "__main__":
    main()
