"""The client that calls providers, over real sockets."""

import json
import time
from contextlib import closing

from local.standin import Standin
from vibe_router.upstream.client import Reply, Upstream


def test_an_answer_that_nobody_reads_on_is_closed_before_the_next_call() -> None:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    with Standin() as standin, closing(Upstream()) as upstream:

        def call() -> Reply:
            url = f"{standin.base_url('cliproxyapi')}/chat/completions"
            headers = {"content-type": "application/json", "authorization": "Bearer x"}
            return upstream.post(url, headers, body, connect=10, until=time.monotonic() + 60)

        first = call()
        assert first.read(time.monotonic() + 60)
        second = call()
        assert first._response.is_closed
        assert second.read(time.monotonic() + 60)
        second.close()
