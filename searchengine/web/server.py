"""The server process: a socket, the application behind it, and an end within two seconds."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from fastapi import FastAPI

from searchengine.errors import SearchEngineError
from searchengine.web.app import create_app
from searchengine.web.connection import Connection
from searchengine.web.settings import Settings

_CONNECTIONS: Final = 1  # whole seconds in which requests may be answered still
_AT_ONCE: Final = 1.9  # seconds from the signal until the process ends, whatever hangs
_BACKLOG: Final = 128
_INTERRUPTED: Final = 130


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on an address; of a name, only `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address(settings: Settings) -> str:
    """The page's address, as a browser on this machine takes it."""
    host = settings.host
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.port}/"
    if literal.is_unspecified:
        return f"http://{'127.0.0.1' if literal.version == 4 else '[::1]'}:{settings.port}/"
    return f"http://{f'[{host}]' if literal.version == 6 else host}:{settings.port}/"


def serve(
    folders: Mapping[str, Path],
    settings: Settings,
    device: str,
    started: Callable[[str], None] = lambda address: None,
) -> bool:
    """Serve indexes until SIGTERM or Ctrl-C; True where it was Ctrl-C.

    Args:
        folders: the indexes by their names; the first one is the default.
        settings: where to listen; the port 0 is any free one.
        device: what the encoders run on.
        started: is called with the page's address once it answers.

    Raises:
        SearchEngineError: nothing can listen there.
    """
    with _listen(settings) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        app = create_app(folders, settings, device)
        server = _Server(app, lambda: started(address(settings)))
        before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # likewise
        finally:
            signal.signal(signal.SIGTERM, before)
    return server.ended_by == signal.SIGINT


def _listen(settings: Settings) -> socket.socket:
    try:
        (family, *_, where), *_ = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SearchEngineError(
            f"cannot listen on {settings.host}:{settings.port}: {reason}; "
            "give another --port, or 0 for any free one, or another --host"
        ) from error


class _Server(uvicorn.Server):
    """A server that tells when it answers, and by which signal it ended."""

    def __init__(self, app: FastAPI, started: Callable[[], None]):
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # the command line has set up logging
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                http=Connection,
                ws="none",
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_CONNECTIONS,
            )
        )
        self.ended_by: int | None = None
        self._app = app
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; whoever follows a job is told of its end instead of being waited for."""
        self._app.state.jobs.stop()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what hangs is cut off
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end. A search that is under way in a thread cannot be interrupted: it is left.

        What an index has committed is on disk, so nothing is lost by that.
        """
        if self.ended_by is None:
            self.ended_by = sig
            timer = threading.Timer(_AT_ONCE, end, (sig == signal.SIGINT,))
            timer.daemon = True
            timer.start()
        super().handle_exit(sig, frame)


def end(interrupted: bool) -> NoReturn:
    """End the process, whatever its threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED if interrupted else 0)
