"""Build everything for Lambda, and report the sizes: python -m scripts.build.

Runs `sam build`, whose result in .aws-sam/build is for `sam deploy`, and packs each artefact into build/NAME.zip, with
the same bytes from the same sources, for both architectures. Requires neither Docker nor Python 3.13. A table on a
terminal, JSON in a pipe.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from scripts.artefacts import EPOCH, PLATFORMS, PYTHON_VERSION, ROOT, lambda_python

__all__ = ["BUILT", "SAM", "Artefact", "build", "loaded_by_functions", "pack", "sam_build"]

BUILT = ROOT / ".aws-sam/build"
"""The folder that `sam deploy` reads."""

SAM = Path(sys.executable).with_name("sam")
"""The SAM CLI of this environment, in its locked version."""

UNZIPPED_LIMIT = 250 * 2**20
"""Lambda's limit for a function with its layers, in bytes."""


@dataclass(frozen=True)
class Artefact:
    """One function or layer: its logical id, sizes in bytes, and the hash of the zip."""

    name: str
    unzipped: int
    zipped: int
    files: int
    sha256: str


def build() -> list[Artefact]:
    """Build and pack every function and layer of template.yaml. Raises CalledProcessError when `sam build` fails."""
    sam_build(BUILT)
    (ROOT / "build").mkdir(exist_ok=True)
    built = sorted(path for path in BUILT.iterdir() if path.is_dir())
    return [pack(path, ROOT / "build" / f"{path.name}.zip") for path in built]


def sam_build(directory: Path) -> None:
    """Run `sam build` into `directory`, which is emptied first. Raises CalledProcessError if it fails."""
    python = lambda_python()
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),  # required, although nothing is called
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHON": python or f"no-python{PYTHON_VERSION}",  # the streaming runtime's Makefile compiles with it
        "PYTHONHASHSEED": "0",
        "SAM_CLI_TELEMETRY": "0",
    }
    command = [str(SAM), "build", "--build-dir", str(directory)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=sys.stderr)


def pack(directory: Path, target: Path) -> Artefact:
    """Zip `directory` into `target`, independent of the time and place of the build."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    moment = time.gmtime(EPOCH)[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(path.relative_to(directory).as_posix(), moment)
            entry.create_system = 3  # Unix, whose permissions follow
            entry.external_attr = (0o100755 if os.access(path, os.X_OK) else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    unzipped = sum(path.stat().st_size for path in paths)
    return Artefact(directory.name, unzipped, target.stat().st_size, len(paths), digest)


def loaded_by_functions(artefacts: list[Artefact]) -> Mapping[str, tuple[int, int]]:
    """Return the bytes of each function with its layers, unzipped and zipped."""
    resources: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    by_name = {artefact.name: artefact for artefact in artefacts}
    loaded = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            layers = [layer["Ref"] for layer in resource["Properties"]["Layers"]]
            parts = [by_name[part] for part in (name, *layers)]
            loaded[name] = (sum(part.unzipped for part in parts), sum(part.zipped for part in parts))
    return loaded


def main() -> None:
    """Read the command line, build, and report."""
    parser = argparse.ArgumentParser(description="Build the functions and layers for Lambda.")
    parser.parse_args()
    try:
        artefacts = build()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    loaded = loaded_by_functions(artefacts)
    if sys.stdout.isatty():
        _print_table(artefacts, loaded)
    else:
        report = {
            "architectures": sorted(PLATFORMS),
            "bytecode": lambda_python() is not None,
            "artefacts": [asdict(artefact) for artefact in artefacts],
            "loaded": {name: {"unzipped": sizes[0], "zipped": sizes[1]} for name, sizes in loaded.items()},
        }
        print(json.dumps(report, indent=2))
    for name, (unzipped, _) in loaded.items():
        if unzipped > UNZIPPED_LIMIT:
            sys.exit(f"{name} and its layers have {unzipped:,} bytes; the limit is {UNZIPPED_LIMIT:,}.")


def _print_table(artefacts: list[Artefact], loaded: Mapping[str, tuple[int, int]]) -> None:
    print(f"\n{'':<28}{'unzipped':>12}{'zipped':>12}{'files':>8}   sha256 of the zip")
    for each in artefacts:
        print(f"{each.name:<28}{_mb(each.unzipped)}{_mb(each.zipped)}{each.files:>8}   {each.sha256[:16]}")
    for name, (unzipped, zipped) in loaded.items():
        print(f"{name + ' loads':<28}{_mb(unzipped)}{_mb(zipped)}")


def _mb(size: int) -> str:
    return f"{size / 1e6:>9.2f} MB"


if __name__ == "__main__":
    main()
