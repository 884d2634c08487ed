"""Small Ray clusters for tests: every node is processes of this machine."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searchengine import encoders
from searchengine.encoders import ModelFolder
from searchengine.encoders.folder import CARD
from tests.pictures import picture

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@contextmanager
def cluster(nodes: int, cpus: int = 1) -> Iterator[Any]:
    """A cluster of so many nodes, each with as many CPUs as Ray is to believe."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cpus, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(1, nodes):
            made.add_node(num_cpus=cpus)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Nothing here may hang: Ray would wait for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def retrained(folder: Path) -> ModelFolder:
    """The built-in model under another fingerprint, in a new folder of its own."""
    shutil.copytree(encoders.find("builtin").path, folder)
    card = json.loads((folder / CARD).read_bytes())
    (folder / CARD).write_text(json.dumps({**card, "fingerprint": "f" * 64}))
    return encoders.find(str(folder))


def slow(count: int) -> Iterator[bytes]:
    """The bytes of different pictures that take long to decode: PNG of 2 megapixels."""
    content = io.BytesIO()
    picture(1, (1600, 1200)).save(content, "PNG", compress_level=1)
    for number in range(count):
        yield content.getvalue() + number.to_bytes(4)  # what follows a PNG's end is not read


def fill_slowly(folder: Path, count: int) -> None:
    """Write pictures of `slow`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(slow(count)):
        (folder / f"{number:04}.png").write_bytes(content)
