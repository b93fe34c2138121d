"""A proxy before an HTTP server on loopback that delays answers, drops them, or is down."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


def kind_of(method: str, path: str) -> str:
    """What a request to MLflow asks for, such as `POST runs/create`."""
    path = path.partition("?")[0]
    found = re.fullmatch(r"/(?:api|ajax-api)/\d\.\d/mlflow(?:-artifacts)?/(artifacts|[\w-]+(?:/[\w-]+)?).*", path)
    return f"{method} {found[1]}" if found else f"{method} {path}"


class FaultyProxy:
    """Forwards requests to a port of this machine; its attributes may be changed at any time.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self.is_down = False
        """Whether connections are closed before anything is forwarded."""
        self.delay_seconds = 0.0
        """Before each answer."""
        self.drops: Callable[[str], bool] = lambda kind: False
        """Whether the answer to a request of a kind is dropped after the server has carried it out."""
        self.n_dropped: Counter[str] = Counter()
        """Answers dropped, by kind."""
        self.n_asked: Counter[str] = Counter()
        """Requests forwarded, by kind."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                proxy._forward(self, port)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()

    def _forward(self, request: BaseHTTPRequestHandler, port: int) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        request.close_connection = True
        if self.is_down:
            return
        kind = kind_of(request.command, request.path)
        server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            server.request(request.command, request.path, body, dict(request.headers.items()))
            answer = server.getresponse()
            content = answer.read()
        except OSError:  # the server itself is down
            return
        finally:
            server.close()
        self.n_asked[kind] += 1
        time.sleep(self.delay_seconds)
        if self.drops(kind):
            self.n_dropped[kind] += 1
            return
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class FirstAndSome:
    """Drops the first answer of each kind, and of the later ones a share, drawn with a seed."""

    def __init__(self, *, share: float, seed: int) -> None:
        self._share = share
        self._draws = random.Random(seed)
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, kind: str) -> bool:
        with self._lock:
            is_first = kind not in self._seen
            self._seen.add(kind)
            return self._draws.random() < self._share or is_first
