"""No process outlives the one that wanted it, with the kernel's help and without."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TETHER = Path(__file__).parents[3] / "local" / "tether.py"
WAITS = "import sys, time; print('up', flush=True); time.sleep(60)"
BESIDE = (
    f"import sys; sys.path.insert(0, {str(TETHER.parent)!r}); import tether; "
    "sys.exit(tether.main(sys.argv[1:], 'darwin'))"
)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")
def test_on_linux_the_program_takes_the_tethers_place_and_dies_with_its_parent() -> None:
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-IS', {str(TETHER)!r}, sys.executable, '-c', {WAITS!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert "tether.py" not in " ".join(child.cmdline())
        process.kill()
        child.wait(timeout=10)


def test_elsewhere_the_program_ends_when_the_pipe_closes() -> None:
    command = [sys.executable, "-c", BESIDE, sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        (child,) = psutil.Process(process.pid).children()
        process.stdin.close()
        child.wait(timeout=10)


def test_elsewhere_the_programs_own_status_is_returned() -> None:
    command = [sys.executable, "-c", BESIDE, sys.executable, "-c", "raise SystemExit(7)"]
    read, write = os.pipe()
    try:
        assert subprocess.run(command, stdin=read, timeout=20, check=False).returncode == 7
    finally:
        os.close(read)
        os.close(write)
