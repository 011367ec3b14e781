"""Read routes.yaml, and report every mistake with its line. Not for Lambda, where PyYAML is not available."""

from collections.abc import Mapping
from pathlib import Path

from vibe_cli.yaml_document import Document, UnreadableError
from vibe_router.routing.spec import RoutesSpec, parse

__all__ = ["RoutesFileError", "load_file"]


class RoutesFileError(Exception):
    """A routes file is invalid. The message has one line per problem: `routes.yaml:LINE: reason`."""

    def __init__(self, file: str, problems: list[tuple[int, str]]) -> None:
        self.problems = tuple(sorted(problems))  # line (0: the whole file) and reason
        lines = (f"{file}:{line}: {reason}" if line else f"{file}: {reason}" for line, reason in self.problems)
        super().__init__("\n".join(lines))


def load_file(path: Path, environ: Mapping[str, str]) -> RoutesSpec:
    """Read a routes file, with `${NAME}` and `${NAME:-default}` in its values replaced from `environ`.

    As in a shell, the default also replaces an empty variable. Raises RoutesFileError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RoutesFileError(str(path), [(0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise RoutesFileError(str(path), [(0, "is not UTF-8 text")]) from error
    document = Document(environ)
    try:
        data = document.read(text)
    except UnreadableError as error:
        raise RoutesFileError(str(path), [(error.line, error.reason)]) from error
    spec, problems = parse(data)
    # A value that cannot be read is reported once, without problems of its replacement.
    reported = {problem.place for _, problem in document.problems}
    found = document.problems + [
        (document.line_of(each.place), each) for each in problems if each.place not in reported
    ]
    if found or spec is None:
        raise RoutesFileError(str(path), [(line, str(problem)) for line, problem in found])
    return spec
