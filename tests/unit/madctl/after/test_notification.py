# SPDX-License-Identifier: Apache-2.0
"""The notification: what is posted, to a real server, and that no server can hold up, mislead or betray the user."""

import contextlib
import json
import socket
import threading

import pytest

from madctl.after import notification
from madctl.errors import Problem
from madctl.result import Result
from tests.unit.http_answers import served
from tests.unit.ports import unheard

RESULT = Result("launch", "failed", 6, "20261101-120000-aaaaaaaa", {"nodes": []}, [Problem("RANK_FAILED", "é", "a")])
TOKEN = "T0-swordfish"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def post(port, scheme="http", seconds=60.0):
    wrong = notification.post(
        f"{scheme}://127.0.0.1:{port}/hooks/{TOKEN}", "big <!here> & more", RESULT, threading.Event(), seconds
    )
    assert TOKEN not in str(wrong)
    return wrong


def test_what_is_posted():
    with served(lambda _: (200, b"ok")) as server:
        assert post(server.server_port) is None

    ((method, path, body),) = server.asked
    sent = json.loads(body)
    assert (method, path) == ("POST", f"/hooks/{TOKEN}")
    assert sent["text"] == "big &lt;!here&gt; &amp; more", "no text of a node mentions a whole channel"
    assert (sent["result"]["schema"], sent["result"]["status"], sent["result"]["exit_code"]) == (1, "failed", 6)
    assert sent["result"]["errors"][0]["message"] == "é"


@pytest.mark.parametrize("code", [204, 400, 404, 500, 301, 302, 303, 307, 308])
def test_what_the_server_answers(code):
    def answer(handler):
        if code >= 300:
            handler.send_response(code)
            handler.send_header("Location", f"/elsewhere/{TOKEN}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return None
        return code, b""

    with served(answer) as server:
        wrong = post(server.server_port)

    redirect = ", a redirect, which is not followed" if code < 400 else ""
    assert wrong == (None if code < 300 else f"127.0.0.1: it answered {code}{redirect}")
    assert [path for _, path, _ in server.asked] == [f"/hooks/{TOKEN}"]


@contextlib.contextmanager
def talking(talk):
    """Serve one connection with bytes of one's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def endless(connection):
    connection.recv(1 << 20)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_headers(connection):
    connection.recv(1 << 20)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-A: " + b"x" * 1000 + b"\r\n")


def no_http(connection):
    connection.recv(1 << 20)
    connection.sendall(b"\x1b]0;x\x07 220 smtp\r\n" * 9)


TALKS = {
    "an endless answer": (endless, None),
    "endless headers": (endless_headers, "127.0.0.1: its answer is not HTTP"),
    "no HTTP": (no_http, "127.0.0.1: its answer is not HTTP"),
}


@pytest.mark.parametrize("name", TALKS)
def test_an_answer_that_is_none(name):
    talk, wrong = TALKS[name]
    with talking(talk) as port:
        assert post(port) == wrong


def test_a_server_that_hangs_or_says_something_now_and_then_is_not_waited_for():
    over = threading.Event()

    def drip(connection):
        while not over.wait(0.05):
            connection.sendall(b"H")

    for talk in (lambda _: over.wait(120), drip):
        over.clear()
        with talking(talk) as port:
            # A byte now and then would keep up a limit of the socket alone.
            assert post(port, seconds=0.5) == "127.0.0.1: no answer within 0 s"
            over.set()


def test_nobody_listens_and_nobody_speaks_tls():
    with unheard() as port:
        assert post(port) == "127.0.0.1: connection refused"
    with talking(lambda connection: connection.sendall(b"no TLS\r\n" * 9)) as port:
        assert "SSL" in post(port, "https")


@pytest.mark.parametrize(
    "url", [f"file:///etc/{TOKEN}", f"ftp://h/{TOKEN}", f"http://[/{TOKEN}", f"http://h:x/{TOKEN}"]
)
def test_an_address_that_nobody_checked_is_no_other_protocol_and_is_not_told(url):
    wrong = notification.post(url, "", RESULT, threading.Event())

    assert wrong and TOKEN not in wrong and "etc" not in wrong


def test_the_proxy_of_the_environment_is_used(monkeypatch):
    monkeypatch.delenv("no_proxy")
    with served(lambda _: (200, b"")) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        assert notification.post("http://hooks.example.org/x", "", RESULT, threading.Event()) is None

    assert [path for _, path, _ in server.asked] == ["http://hooks.example.org/x"]
