"""A description of the machine."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from .figures import MEGABYTE, Cell

__all__ = ["facts"]


def facts() -> dict[str, Cell]:
    """Return the properties of the machine that affect the figures."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total // MEGABYTE,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Return the processor's model name, from proc(5) if available."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
