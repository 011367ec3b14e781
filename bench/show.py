"""Render a report as text or as JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .figures import Aim, Cell, Report, Table

__all__ = ["as_json", "as_text"]

_NOTE_WIDTH = 110


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values: `machine`, `options`, `sections`, `aims`, `failures`."""
    return {
        "machine": dict(report.machine),
        "options": dict(report.options),
        "sections": {
            name: {"title": table.title, "rows": [dict(row) for row in table.rows], "notes": list(table.notes)}
            for name, table in report.sections.items()
        },
        "aims": [{**asdict(aim), "reached": aim.reached} for aim in report.aims],
        "failures": report.failures,
    }


def as_text(report: Report) -> str:
    """Return the report as text for a terminal."""
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    parts = [f"Machine: {machine}"]
    parts += [_table(table) for table in report.sections.values()]
    if report.aims:
        parts.append("Aims\n" + _aligned([_aim(aim) for aim in report.aims]))
    if report.failures:
        parts.append("What did not work\n" + "\n".join(f"  {failure}" for failure in report.failures))
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    lines = [table.title, _aligned(table.rows), *(f"  {line}" for note in table.notes for line in _wrapped(note))]
    return "\n".join(lines)


def _aim(aim: Aim) -> Mapping[str, Cell]:
    return {
        "aim": aim.name,
        "measured": f"{aim.value:g} {aim.unit}",
        "at most": f"{aim.limit:g} {aim.unit}",
        "reached": "yes" if aim.reached else "NO",
    }


def _aligned(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return rows under their column names; numbers to the right, words to the left."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    heads = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    numeric = [all(not isinstance(row.get(column), str) for row in rows) for column in columns]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        )
        return "  " + "  ".join(padded).rstrip()

    return "\n".join(line(texts) for texts in (heads, *cells))


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _wrapped(note: str) -> list[str]:
    lines = [""]
    for word in note.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _NOTE_WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
