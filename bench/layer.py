"""An interpreter that finds only the packages of the layers, as in Lambda.

The development environment holds more than the function's libraries, and some of these import whatever they find:
botocore awscrt, urllib3 pyOpenSSL, httpcore anyio. A fifth of a cold start would be spent on what is not there.
"""

import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["interpreter"]


def interpreter(folder: Path, distributions: Iterable[str], libraries: Path | None = None) -> Path:
    """Create an environment in `folder` with the `distributions` that are installed here; return its Python.

    With `libraries`, they are taken from that folder.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    (library,) = folder.glob("lib/python3.*/site-packages")
    for name in distributions:
        try:
            found = _in_folder(name, libraries) if libraries else distribution(name)
        except PackageNotFoundError:  # for another system or Python
            continue
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = library / top
            if not link.exists():  # no namespace package is shared by several
                link.symlink_to(Path(str(found.locate_file(top))))
    return folder / "bin" / "python"


def _in_folder(name: str, folder: Path) -> Distribution:
    found = next(iter(Distribution.discover(name=name, path=[str(folder)])), None)
    if found is None:
        raise PackageNotFoundError(name)
    return found
