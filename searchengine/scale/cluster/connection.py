"""A connection to a Ray cluster, or to a small one of this machine's own."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import re
import secrets
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from searchengine.errors import ClusterError

LOCAL: Final = "local"

_NO_RAY: Final = "--ray needs Ray: pip install 'searchengine[ray]'"
_SHORT: Final = "/tmp" if os.path.isdir("/tmp") else None
"""Where to put sockets: their paths may have 107 characters."""
_REACH_SECONDS: Final = 10.0
_ADDRESS: Final = re.compile(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[^:/\s]+):(\d{1,5})")


def check_address(address: str) -> str:
    """The address itself: `local`, `auto`, `HOST:PORT` or `ray://HOST:PORT`.

    Raises `ClusterError` for anything else.
    """
    if address in (LOCAL, "auto") or _ADDRESS.fullmatch(address):
        return address
    raise ClusterError(
        f"{address} is no address of a cluster; write auto, HOST:PORT or ray://HOST:PORT, or "
        "nothing for this machine alone (FOLDER comes before --ray)"
    )


def knock(address: str) -> None:
    """Raise `ClusterError` where it is plain already that there will be no connection."""
    check_address(address)
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
        raise ClusterError(_NO_RAY)
    if match := _ADDRESS.fullmatch(address):
        _reach(match[1].strip("[]"), int(match[2]), address)


@contextlib.contextmanager
def connected(address: str = LOCAL) -> Iterator[Any]:
    """Gives the module `ray`, connected; a cluster that was running goes on running.

    Raises `ClusterError` where Ray is not installed or the cluster cannot be reached.
    """
    knock(address)
    _prepare_environment(address)
    ray = _import_ray()
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir=_SHORT, ignore_cleanup_errors=True
    ) as scratch:
        try:
            with warnings.catch_warnings(), _nothing_on_stderr():
                warnings.simplefilter("ignore")
                ray.init(**_options(address, scratch))
        # Ray raises what it likes: ConnectionError, RuntimeError, ValueError, errors of its own.
        except Exception as error:
            raise ClusterError(
                f"cannot connect to {_named(address)}: {last_line(error)}"
            ) from error
        try:
            with _nothing_on_stdout():
                yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _nothing_on_stderr() -> Iterator[None]:
    """Ray's own half, which is not Python, tells there how it was told to keep quiet."""
    sys.stderr.flush()
    with open(os.devnull, "w") as nowhere:
        before = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextlib.contextmanager
def _nothing_on_stdout() -> Iterator[None]:
    """What fails on a machine reaches us as an error; a thread of Ray would print it as well."""
    worker = importlib.import_module("ray._private.worker")
    before = getattr(worker, "print_to_stdstream", None)
    vars(worker)["print_to_stdstream"] = lambda *_, **__: None
    try:
        yield
    finally:
        vars(worker)["print_to_stdstream"] = before


def _options(address: str, scratch: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address == LOCAL:
        # Ray itself leaves its logs behind.
        options |= {"include_dashboard": False, "_temp_dir": scratch}
    return options


def _prepare_environment(address: str) -> None:
    """What Ray reads from the environment when it is imported or started."""
    environment = os.environ
    environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    environment.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    if "RAY_AUTH_MODE" in environment:
        return
    # Said here, or else Ray decides by itself and writes a token into the user's home folder. It
    # listens on every network of this machine, so nobody is let in without a token.
    has_token = any(each in environment for each in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if address == LOCAL:
        environment["RAY_AUTH_MODE"] = "token"
        environment.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        has_token = has_token or (Path.home() / ".ray" / "auth_token").exists()
        environment["RAY_AUTH_MODE"] = "token" if has_token else "disabled"


def _import_ray() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
            import ray.data
    except ImportError as error:
        raise ClusterError(_NO_RAY) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for handler in logging.getLogger("ray.data").handlers:  # the file keeps what it is told
        is_rays = type(handler).__module__.startswith("ray.")  # others have theirs there too
        if is_rays and isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    return ray


def _reach(host: str, port: int, address: str) -> None:
    """Try once: Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), _REACH_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"nothing answers at {address}: {error.strerror or error}; is the cluster running?"
        ) from error


def _named(address: str) -> str:
    if address == LOCAL:
        return "a Ray of this machine's own"
    if address == "auto":
        return "a Ray cluster that this machine is part of (is one running?)"
    return address


def last_line(error: BaseException) -> str:
    """The line of an error that says most, without the colours of a terminal."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
