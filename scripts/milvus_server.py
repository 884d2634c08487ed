"""A Milvus server of its own, for tests and benchmarks: FOLDER PORT [key=value...].

Runs in an environment that has nothing but the server: `python -m venv .milvus` and
`.milvus/bin/pip install milvus==2.3.5`. Prints `ready PORT PID` when it answers, after some seconds
(half a minute the first time, while the programs are unpacked beside the environment); ends with
SIGTERM, and when its standard input does, as it does when its parent dies.
A key is a setting of the server such as `authorization_enabled` or
`quotaAndLimits.limitWriting.diskProtection.diskQuota`.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import sys
import threading
from pathlib import Path

import milvus
from milvus import default_server as server


def unpack(folder: Path) -> None:
    """Let the folder use the programs that were unpacked once, 430 MB."""
    shared = Path(sys.prefix) / "milvus-programs"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        milvus._initialize_data_files(str(shared))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "bin").exists():
        (folder / "bin").symlink_to(shared / "bin", target_is_directory=True)


def bound(port: int) -> socket.socket | None:
    """A socket on a free port; also on one that a killed server left but a minute ago."""
    here = socket.socket()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        here.bind(("127.0.0.1", port))
    except OSError:
        here.close()
        return None
    return here


def configure(folder: Path, port: int, settings: list[str]) -> None:
    server.set_base_dir(str(folder))
    server.config.update(proxy_port=port)
    server.config.try_bind_port = bound
    # Its other ports are searched for from here on: two servers that start at once do not meet.
    for number, key in enumerate(key for key in server.config_keys if key.endswith("_port")):
        if key != "proxy_port":
            server.config.configurable_items[key][1] = port + 10 * (number + 1)
    server.webservice_port = port + 5
    for setting in settings:
        key, value = setting.split("=", 1)
        server.config.set(key, {"true": True, "false": False}.get(value, value))


def main() -> None:
    folder, port, *settings = sys.argv[1:]
    unpack(Path(folder))
    configure(Path(folder), int(port), settings)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    signal.signal(signal.SIGINT, lambda *_: over.set())
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    try:
        server.start()
        print("ready", port, server.server_proc.pid, flush=True)
        over.wait()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
