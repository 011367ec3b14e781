"""Assemble what goes to Lambda, on any machine, for Lambda's Python and processor.

    python -m scripts.artefacts layer OUT [--architecture arm64|x86_64]
    python -m scripts.artefacts function SOURCE OUT

`sam build` calls this through the Makefiles in layers/ and functions/. What comes out depends on the sources, the lock
and the architecture only: the same files, bytes and times on every build.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["BOTOCORE_SERVICES", "PYTHON_VERSION", "assemble_function", "assemble_layer", "for_target", "lambda_python"]

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VERSION = "3.13"

# What pip calls Lambda's processors. Amazon Linux 2023 has glibc 2.34, so wheels for 2.28 and 2.17 run.
PLATFORMS = {
    "arm64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "x86_64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
}
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

# The services that clients are made of: by the stores, and by the X-Ray SDK when it is imported. botocore's data for
# the 400 others is nine tenths of the layer, and reading their endpoints and listing their directories takes 30 ms of
# every cold start.
BOTOCORE_SERVICES = ("dynamodb", "secretsmanager", "xray")

# Below the layer's python/. Each was seen to be unused by what the functions import; a test imports all of it.
UNUSED = (
    "*.dist-info",  # nothing asks for versions or entry points, and pydantic is quicker when there are none to search
    "bin",
    "**/tests",
    "**/*.pyi",
    "**/*.c",
    "**/py.typed",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
    "boto3/data",  # of resources; clients are made of botocore's
    "boto3/examples",
    "botocore/cacert.pem",  # certifi's is taken first
    "botocore/data/*/*/examples-1.json",
)

# 1980-01-01: the first instant that a zip file can say.
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


def assemble_layer(out: Path, architecture: str) -> None:
    """Put the router and its locked libraries into `out`, as a layer's root. Raises CalledProcessError (pip)."""
    site = out / "python"
    _empty(out)
    _install(site, architecture)
    _trim(site)
    _copy_sources(ROOT / "layers/router/vibe_router", site / "vibe_router")
    _finish(out, "/opt")


def assemble_function(source: Path, out: Path) -> None:
    """Put the modules of the function in `source` into `out`, as its task root."""
    _empty(out)
    _copy_sources(source, out)
    _finish(out, "/var/task")


def lambda_python() -> str | None:
    """Return a Python of Lambda's version that runs on this machine, or None. LAMBDA_PYTHON names one to try first."""
    wanted = f"import sys; sys.exit(sys.version_info[:2] != ({PYTHON_VERSION.replace('.', ', ')}))"
    # Names on PATH may be pyenv's, which run only when their version is chosen; it keeps the real ones at home.
    kept = sorted(Path.home().glob(f".pyenv/versions/{PYTHON_VERSION}.*/bin/python"), reverse=True)
    for candidate in (os.environ.get("LAMBDA_PYTHON"), sys.executable, f"python{PYTHON_VERSION}", "python3", *kept):
        found = shutil.which(candidate) if candidate else None
        if found and subprocess.run([found, "-c", wanted], capture_output=True, check=False).returncode == 0:
            return found
    return None


def _install(site: Path, architecture: str) -> None:
    # pip would judge the lock's markers by this machine and not by Lambda, so they are resolved here.
    target = {
        "python_version": PYTHON_VERSION,
        "python_full_version": f"{PYTHON_VERSION}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": MACHINES[architecture],
        "implementation_name": "cpython",
    }
    lock = site.parent / "lock.txt"
    lock.write_text("\n".join(for_target((ROOT / "requirements/runtime.txt").read_text(encoding="utf-8"), target)))
    platforms = [argument for platform in PLATFORMS[architecture] for argument in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--requirement", str(lock)]
    command += ["--implementation", "cp", "--python-version", PYTHON_VERSION, *platforms, "--target", str(site)]
    subprocess.run(command, check=True)
    lock.unlink()


def for_target(lock: str, target: dict[str, str]) -> Iterable[str]:
    """Yield the requirements of `lock` that `target` needs, with their hashes and without markers."""
    for entry in lock.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        text, *hashes = entry.split(" --hash=")
        requirement = Requirement(text.strip())
        if requirement.marker is None or requirement.marker.evaluate(dict(target)):
            pinned = f"{requirement.name}{requirement.specifier}"
            yield " ".join([pinned, *(f"--hash={value.strip()}" for value in hashes)])


def _trim(site: Path) -> None:
    data = site / "botocore/data"
    for service in data.iterdir():
        if not service.is_dir():
            continue
        if service.name not in BOTOCORE_SERVICES:
            shutil.rmtree(service)
            continue
        for outdated in sorted(service.iterdir())[:-1]:  # API versions are dates
            shutil.rmtree(outdated)
    endpoints = json.loads((data / "endpoints.json").read_text(encoding="utf-8"))
    for partition in endpoints["partitions"]:
        partition["services"] = {
            name: value for name, value in partition["services"].items() if name in BOTOCORE_SERVICES
        }
    (data / "endpoints.json").write_text(json.dumps(endpoints, separators=(",", ":")), encoding="utf-8")
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
        # Lambda mounts both read-only, so without bytecode here every cold start would compile what it imports.
        # Unchecked: the files' times in Lambda say nothing. A fixed hash seed keeps the order of sets in constants, and
        # one process after the other the way that strings are shared; two at a time differ from build to build.
        command = [python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
        command += ["-s", str(out), "-p", deployed_at, str(out)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    else:
        print(
            f"Without bytecode: no Python {PYTHON_VERSION} on this machine. It works the same, but every cold start "
            "compiles what it imports, which takes seconds. Install it, or name it in LAMBDA_PYTHON, and build again.",
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
    parser = argparse.ArgumentParser(description="Assemble what goes to Lambda.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    layer = kinds.add_parser("layer", help="the router layer")
    layer.add_argument("out", type=Path)
    layer.add_argument("--architecture", choices=sorted(PLATFORMS), default="arm64")
    function = kinds.add_parser("function", help="one function")
    function.add_argument("source", type=Path)
    function.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.kind == "layer":
            assemble_layer(arguments.out.resolve(), arguments.architecture)
        else:
            assemble_function(arguments.source.resolve(), arguments.out.resolve())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed with {error.returncode}; its own lines above say why.")


if __name__ == "__main__":
    main()
