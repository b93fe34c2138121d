"""Optuna's dashboard on loopback: `python -m sweeper.search.dashboard PORT`, the database's URL in SWEEPER_STORAGE.

The dashboard itself answers any request that reaches it. A web page elsewhere can have the browser of a user send
requests to 127.0.0.1 under a name of its own (DNS rebinding), so that what is not addressed to this server by its own
name, or comes from another page, is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["guarded", "main"]

HOST = "127.0.0.1"


def guarded(app: WSGIApplication, port: int) -> WSGIApplication:
    """An app that answers only requests to `127.0.0.1:port` or `localhost:port`, from its own pages or from none."""
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") not in hosts or environ.get("HTTP_ORIGIN", f"http://{HOST}:{port}") not in origins:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"refused: the request is for another host, or comes from another page\n"]
        return app(environ, start_response)

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """A browser opens connections ahead, and must not hold up the others with them."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name in the base class
        """Say nothing of each request."""


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    port = int(arguments[0])
    app = guarded(optuna_dashboard.wsgi(os.environ["SWEEPER_STORAGE"]), port)
    with make_server(HOST, port, app, server_class=_Server, handler_class=_Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
