"""Processor time of other processes, and which processes serve a URL."""

import os
import socket
import time

from bench.processor import cpu_seconds, serving


def test_processor_time_grows_with_work_and_ended_processes_count_nothing() -> None:
    before = cpu_seconds([os.getpid()])
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    assert cpu_seconds([os.getpid(), 2**22 + 1]) - before >= 0.02


def test_the_processes_that_listen_at_a_port_serve_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert os.getpid() in serving(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
