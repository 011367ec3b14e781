"""AWS's own DynamoDB Local as a process of the suite: fetched once from Maven Central, in memory, on loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

__all__ = ["NotToBeHadError", "running"]

_HERE = Path(__file__).parent
_CACHE = Path(__file__).parents[4] / "build" / "dynamodb-local"
_JAVA = 17  # the oldest that DynamoDB Local 3 runs on
_FETCH_SECONDS = 600  # 50 MB, once
_STOP_SECONDS = 10


class NotToBeHadError(Exception):
    """DynamoDB Local can't run on this machine; says what is missing."""


@contextmanager
def running() -> Iterator[str]:
    """Run it, and give its URL. Raises NotToBeHadError."""
    java = _java()
    jars = _jars()
    command = [java, "-Xmx512m", "-cp", f"{jars}/*", str(_HERE / "Server.java")]
    with (_CACHE / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(b"PORT "):
                yield f"http://127.0.0.1:{int(line.split()[1])}"
                break
        else:
            raise RuntimeError(f"DynamoDB Local did not start; {_CACHE / 'server.log'} says why")
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _java() -> str:
    """Return a Java that can run a program from its source. Raises NotToBeHadError."""
    java = shutil.which("java")
    wanted = f"a JDK {_JAVA} or later is needed on PATH"
    if java is None:
        raise NotToBeHadError(f"there is no Java: {wanted}")
    # A Java that is only a runtime has no compiler; macOS has a `java` that only says where to get one.
    modules = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)
    version = next((line for line in modules.stdout.splitlines() if line.startswith("jdk.compiler@")), "")
    major = version.partition("@")[2].partition(".")[0].partition("-")[0]
    if not major.isdigit() or int(major) < _JAVA:
        raise NotToBeHadError(f"{java} is not enough: {wanted}")
    return java


def _jars() -> Path:
    """Return the directory that the program's files are in, fetched if they are not there yet for this pom.xml."""
    pom = _HERE / "pom.xml"
    jars = _CACHE / sha256(pom.read_bytes()).hexdigest()[:12]
    if jars.exists():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise NotToBeHadError("there is no Maven to fetch DynamoDB Local with: `mvn` is needed on PATH")
    fetched = jars.with_suffix(".part")
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    command = [maven, "--batch-mode", "--quiet", "--no-transfer-progress", "-Dstyle.color=never", "--file", str(pom)]
    command += [f"-Dmaven.repo.local={_CACHE / 'repository'}", f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"]
    try:
        fetch = subprocess.run(
            [*command, "dependency:copy-dependencies"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
            cwd=_CACHE,
        )
    except subprocess.TimeoutExpired:
        raise NotToBeHadError(f"Maven Central did not give DynamoDB Local within {_FETCH_SECONDS} s") from None
    if fetch.returncode:
        why = next((line for line in fetch.stdout.splitlines() if "ERROR" in line), "no reason given")
        raise NotToBeHadError(f"Maven could not fetch DynamoDB Local: {why}")
    fetched.rename(jars)
    return jars
