# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that answers as a test says, for clients of Kubernetes."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ITEMS = {"items": [], "metadata": {"resourceVersion": "7"}}


def status(code, message, reason="X"):
    """Return what a server of Kubernetes says instead of an object."""
    return code, json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
    ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, self.path, self.rfile.read(size)))
        answer = self.server.answer(self)
        if answer is None:
            return
        code, body = answer
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

    def begin(self):
        """Begin an answer that continues."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def more(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def finish(self):
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing of clients that hang up."""


@contextlib.contextmanager
def served(answer, tls=None):
    """
    Serve.

    Args:
        answer: Takes a request and returns a status and a body, or None if it has answered by itself.
        tls: The context in which to speak TLS.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.answer, server.asked = answer, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(path, server="http://127.0.0.1:9", current="a", **contexts):
    """Write a kubeconfig, by default with one context; each has a namespace, or None."""
    contexts = contexts or {"a": "train"}
    about = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u", **({"namespace": space} if space else {})}}
            for name, space in contexts.items()
        ],
    }
    path.write_text(yaml.safe_dump(about))
    return str(path)
