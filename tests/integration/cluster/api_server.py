# SPDX-License-Identifier: Apache-2.0
"""The HTTP of an API server: requests in, objects, lists, watches and logs out."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
import traceback
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.integration.cluster import discovery, status
from tests.integration.cluster.requests import Answer, Request, Requests
from tests.integration.cluster.status import StatusError

Object = dict[str, Any]
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Server(ThreadingHTTPServer):
    """The listener, which knows its connections so that it can cut them."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, requests: Requests, tls: ssl.SSLContext):
        self.requests, self._tls = requests, tls
        self.connections: set[socket.socket] = set()
        self.is_stopped = False
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection; its handshake is in its own thread, or one client could hold up all."""
        with self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secure:
            self.connections.add(secure)
            if self.is_stopped:  # while it was not yet among those that are cut
                return
            try:
                secure.do_handshake()
                super().finish_request(secure, client_address)
            finally:
                self.connections.discard(secure)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class ApiServer:
    """An API server that can go away and come back on the same port."""

    def __init__(self, requests: Requests, tls: ssl.SSLContext):
        self._requests, self._tls = requests, tls
        self._server: Server | None = None
        # While nobody listens, the port must not become that of another connection, not even of one to itself.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = Server(self.port, self._requests, self._tls)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.is_stopped = True
        server.shutdown()
        server.server_close()
        self.cut()
        for connection in list(server.connections):
            _cut(connection)

    def close(self) -> None:
        """Stop, and give the port back."""
        self.stop()
        self._reserved.close()

    def cut(self) -> None:
        """Cut the connections that are open; new ones are welcome."""
        for connection in list(self._server.connections) if self._server else ():
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # Headers and body go in one piece, or each answer costs a delayed acknowledgement.
    wbufsize = -1

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Print nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "application/json").partition(";")[0].strip()
        request = Request(
            self.command, parts.path.rstrip("/") or "/", query, body, kind, self.headers.get("Accept", ""), ""
        )
        try:
            found = self._found(request)
        except StatusError as refusal:
            self._send_json(refusal.code, refusal.status())
            return
        except Exception:
            self.server.requests.failures.append(traceback.format_exc())
            self._send_json(500, status.internal().status())
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            if isinstance(found, tuple):
                self._send_json(*found)
            else:
                self._send_stream(found)

    def _found(self, request: Request) -> Answer | Iterable[bytes]:
        self.server.requests.admit(request, self.headers.get("Authorization", ""))
        document = discovery.document(request.path, request.accept, self.server.requests.version)
        if document is not None:
            return 200, document, []
        try:
            return self.server.requests.answer(request)
        except json.JSONDecodeError as error:
            raise status.bad_request(f"the body of the request was not JSON: {error}") from error

    def __getattr__(self, name: str) -> Any:
        # The base class looks for a method of each verb's name.
        if name.startswith("do_") and name[3:] in VERBS:
            return self._answer
        raise AttributeError(name)

    def _send_json(self, code: int, value: Object, warnings: Iterable[str] = ()) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        for warning in warnings:
            text = warning.replace('"', '\\"')
            self.send_header("Warning", f'299 - "{text}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _send_stream(self, pieces: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if "watch" in self.path else "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for piece in pieces:
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            elif self._is_gone():
                return
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _is_gone(self) -> bool:
        """Return whether the client of an idle stream has gone: there is nothing else that it could send."""
        return bool(select.select([self.connection], [], [], 0)[0])
