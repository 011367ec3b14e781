"""The largest bodies that API Gateway delivers fit into the smallest memory that the template accepts."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.expanded import ROOT
from tests.unit.gateway.fake_environment import event

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")

BODY = 6 * 1024 * 1024
LIMIT_MB = 256 - 50  # the rest is for the AWS clients and the runtime, which are not in this process
BOUNDARY = b"b0undary"


def _chat(content: bytes) -> bytes:
    return b'{"model":"auto-chat","messages":[{"role":"user","content":%b}]}' % content


def _part(disposition: bytes, content: bytes) -> bytes:
    return b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (BOUNDARY, disposition, content)


BODIES = {
    "deep brackets": (_chat(b"[" * (BODY // 2 - 100) + b"]" * (BODY // 2 - 100)), 400),
    "many small objects": (_chat(b"[" + b",".join([b'{"type":"text","text":"a"}'] * 220_000) + b"]"), 400),
    "as many objects as may be": (
        _chat(b"[" + b",".join([b'{"type":"text","text":"%b"}' % (b"a" * 36)] * 99_000) + b"]"),
        200,
    ),
    "as many names as may be": (
        _chat(b'"hi"').removesuffix(b"}")
        + b',"metadata":{%b}}' % b",".join(b'"k%06d":%d' % (number, number) for number in range(350_000)),
        200,
    ),
    "one long string": (_chat(b'"%b"' % (b"a" * (BODY - 200))), 200),
    "one long string with a wide character": (_chat(b'"\xf0\x9f\x98\x80%b"' % (b"a" * (BODY - 200))), 200),
    "an image": (
        _chat(
            b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]' % (b"A" * ((BODY - 400) // 4 * 4))
        ),
        200,
    ),
}
FORM = _part(b'name="model"', b"auto-chat") + _part(b'name="file"; filename="a.wav"', bytes(BODY * 3 // 4 - 1000))
FORM += b"--%b--\r\n" % BOUNDARY


def _answer(sent: dict[str, object], folder: Path) -> tuple[int, float]:
    file = folder / "event.json"
    file.write_text(json.dumps(sent, ensure_ascii=False), encoding="utf-8")
    command = [sys.executable, "-m", "tests.unit.gateway.memory_program", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    return report["status"], report["peak_mb"]


@pytest.mark.parametrize("name", BODIES)
def test_a_large_body_fits_into_the_smallest_memory(name: str, tmp_path: Path) -> None:
    body, expected = BODIES[name]
    assert len(body) <= BODY
    status, peak = _answer(event("POST", "/v1/chat/completions", body.decode()), tmp_path)
    assert status == expected
    assert peak < LIMIT_MB


def test_a_large_form_fits_into_the_smallest_memory(tmp_path: Path) -> None:
    sent = event("POST", "/v1/audio/transcriptions", base64.b64encode(FORM).decode(), isBase64Encoded=True)
    sent["headers"]["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    _, peak = _answer(sent, tmp_path)
    assert peak < LIMIT_MB
