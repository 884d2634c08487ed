"""What the server does while many people search and its index grows, and what one search takes.

    python scripts/load_test.py --index indexes/demo                      (50 clients, 20 seconds)
    python scripts/load_test.py --latency                           (one client, 100,000 images)

The index is copied, so that the one that is named stays as it is; its photographs have to be there.
The clients are coroutines of this process, which ask without a pause, each on a connection of its
own; the server is a process of its own. Prints Markdown tables. Linux: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from bench_queries import MANY, QUERIES, fill_index
from PIL import Image

from searchengine import encoders

NEW = 600  # pictures that are indexed meanwhile
DEEPEST = 10_000
MIX = {
    "new search": 12,
    "repeated search": 15,
    "next page": 13,
    "thumbnail": 40,
    "metadata": 8,
    "facets": 4,
    "browse": 4,
    "index": 4,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, default=Path("indexes/demo"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument(
        "--latency", type=int, nargs="?", const=50, metavar="QUERIES", help="measure one client"
    )
    args = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory() as home:
        if args.latency:
            asyncio.run(latency(Path(home), args.latency))
        else:
            asyncio.run(load(Path(home), args.index, args.clients, args.seconds))


# --- Many clients ---


@dataclass
class Tally:
    """Seconds of every answer by kind, and what was no answer."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def print(self) -> None:
        """As a Markdown table."""
        print("| request | answers | errors | 503 | p50 ms | p95 ms | p99 ms |")
        print("|---|---|---|---|---|---|---|")
        for kind in MIX:
            self._row(kind, self.seconds[kind], len(self.errors[kind]), self.busy[kind])
        every = [each for kind in MIX for each in self.seconds[kind]]
        errors = [each for kind in MIX for each in self.errors[kind]]
        self._row("all", every, len(errors), sum(self.busy.values()))
        for each in sorted(set(errors))[:10]:
            print(f"\n{errors.count(each)} x {each}")

    def _row(self, kind: str, seconds: list[float], errors: int, busy: int) -> None:
        p50, p95, p99 = (percentile(seconds, each) for each in (50, 95, 99))
        print(
            f"| {kind} | {len(seconds)} | {errors} | {busy} | {p50:.0f} | {p95:.0f} | {p99:.0f} |"
        )


async def load(home: Path, index: Path, clients: int, seconds: float) -> None:
    """`clients` people at once, while the folders of the index are refreshed."""
    shutil.copytree(index, home / "index")
    new_pictures(home / "new", 1)
    run = ["index", str(home / "new"), "--index", str(home / "index"), "--quiet"]
    subprocess.run([sys.executable, "-m", "searchengine", *run], check=True)
    new_pictures(home / "new", NEW)
    with server(home) as (process, port):
        first = Client(port)
        await until_warm(first)
        memory = asyncio.create_task(watch_memory(process.pid))
        tally, numbers, deadline = Tally(), count(), time.monotonic() + seconds
        job = await first.json("POST", "/api/jobs", {})
        started = time.monotonic()
        people = [Person(Client(port), tally, numbers, each) for each in range(clients)]
        await asyncio.gather(*(each.live(deadline) for each in people))
        took = time.monotonic() - started
        first.close()  # as the server did: it has been idle
        while job["state"] == "running":
            await asyncio.sleep(0.2)
            job = await first.json("GET", f"/api/jobs/{job['id']}")
        indexed = time.monotonic() - started
        memory.cancel()
        refused = await first.text("GET", "/metrics")
    tally.print()
    answers = sum(map(len, tally.seconds.values()))
    print(f"\n{clients} clients, {answers / took:.0f} answers/s for {took:.0f} s")
    print(f"job: {job['state']}, {job['report']}, after {indexed:.0f} s")
    peaks = memory_peaks
    print(f"memory, most: server {peaks['server'] / 1024:.0f} MiB, ", end="")
    print(f"indexing process {peaks['children'] / 1024:.0f} MiB")
    print(next(x for x in refused.splitlines() if x.startswith("searchengine_searches_refused_t")))


@dataclass
class Person:
    """Somebody who searches, looks, scrolls."""

    client: Client
    tally: Tally
    numbers: Iterator[int]
    seed: int
    answer: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)

    async def live(self, deadline: float) -> None:
        """Ask until the deadline."""
        dice = random.Random(self.seed)
        kinds, weights = list(MIX), list(MIX.values())
        while time.monotonic() < deadline:
            kind = dice.choices(kinds, weights)[0]
            if not self.answer.get("hits") or (kind == "next page" and not self.answer["next"]):
                kind = "repeated search"
            await self._time(kind, self._act(kind, dice))

    async def _time(self, kind: str, act: Coroutine[Any, Any, tuple[int, bytes]]) -> None:
        started = time.perf_counter()
        try:
            status, body = await act
        except (OSError, EOFError, ValueError) as error:
            self.tally.errors[kind].append(repr(error))
            self.client.close()
            return
        if status == 503:
            self.tally.busy[kind] += 1
        elif status != 200:
            self.tally.errors[kind].append(f"{kind}: {status} {body[:200]!r}")
        else:
            self.tally.seconds[kind].append(time.perf_counter() - started)

    async def _act(self, kind: str, dice: random.Random) -> tuple[int, bytes]:
        ask = self.client.ask
        if kind == "new search":
            number = next(self.numbers)
            text = f"{QUERIES[(37 * number) % len(QUERIES)]} {number}"
            return await self._search({"text": text})
        if kind == "repeated search":
            return await self._search({"text": dice.choice(QUERIES[::50])})
        if kind == "browse":
            return await self._search({})
        if kind == "next page":
            return await self._search({**self.asked, "cursor": self.answer["next"]})
        if kind == "facets":
            return await ask("POST", "/api/facets", {})
        if kind == "index":
            return await ask("GET", "/api/indexes/index")
        image = dice.choice(self.answer["hits"])["id"]
        route = "/thumbnail" if kind == "thumbnail" else ""
        return await ask("GET", f"/api/images/{image}{route}")

    async def _search(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        status, body = await self.client.ask("POST", "/api/search", asked)
        if status == 200:
            self.asked, self.answer = asked, json.loads(body)
        return status, body


# --- One client ---


async def latency(home: Path, queries: int) -> None:
    """New searches one after the other, and a scroll, over 100,000 images."""
    fill_index(home / "index", encoders.find("builtin").spec, home)
    with server(home) as (process, port):
        client = Client(port)
        await until_warm(client)
        memory = asyncio.create_task(watch_memory(process.pid))
        step = max(1, len(QUERIES) // queries)
        texts = iter(QUERIES[::step][:queries])
        searches = [await timed(client, {"text": text}) for text in texts]
        again = [await timed(client, {"text": QUERIES[0]}) for _ in range(queries)]
        browsed = await scroll(client, {})
        pages = await scroll(client, {"text": "a dog on a beach at night"})
        await asyncio.sleep(0.3)
        memory.cancel()
    print("| one client, 100,000 images | count | median ms | p95 ms | most ms |")
    print("|---|---|---|---|---|")
    rows = {
        "new text, first page": searches,
        "the same text again": again,
        f"next page of 60, to {DEEPEST:,} hits": pages,
        f"next page of 60, browsing to {DEEPEST:,}": browsed,
    }
    for name, seconds in rows.items():
        p50, p95 = percentile(seconds, 50), percentile(seconds, 95)
        print(f"| {name} | {len(seconds)} | {p50:.0f} | {p95:.0f} | {1000 * max(seconds):.0f} |")
    print(f"\nmemory, most: server {memory_peaks['server'] / 1024:.0f} MiB ({MANY:,} images)")


async def timed(client: Client, asked: dict[str, Any]) -> float:
    started = time.perf_counter()
    status, body = await client.ask("POST", "/api/search", asked)
    seconds = time.perf_counter() - started
    if status != 200:
        sys.exit(f"{status}: {body.decode()}")
    return seconds


async def scroll(client: Client, asked: dict[str, Any]) -> list[float]:
    """Seconds of each page after the first one."""
    seconds = []
    answer = await client.json("POST", "/api/search", asked)
    for _ in range(DEEPEST // 60):
        started = time.perf_counter()
        answer = await client.json("POST", "/api/search", {**asked, "cursor": answer["next"]})
        seconds.append(time.perf_counter() - started)
    return seconds


# --- The server, and who asks ---


@contextmanager
def server(home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "searchengine", "serve", "--port", "0"]
    env = {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}
    process = subprocess.Popen(
        [*command, "--index", str(home / "index")], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout
    with process.stdout:
        try:
            line = process.stdout.readline()
            yield process, int(line.split()[4].rstrip("/").rpartition(":")[2])
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        finally:
            process.kill()
            process.wait()


class Client:
    """One connection, kept open from request to request."""

    def __init__(self, port: int):
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), answer

    async def text(self, method: str, path: str, body: object = None) -> str:
        """The answer, which must be one."""
        status, answer = await self.ask(method, path, body)
        if status >= 300:
            sys.exit(f"{path}: {status} {answer.decode()}")
        return answer.decode()

    async def json(self, method: str, path: str, body: object = None) -> Any:
        """The answer's document."""
        return json.loads(await self.text(method, path, body))

    def close(self) -> None:
        """End the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def until_warm(client: Client) -> None:
    """Ask until the answers come at once: what is loaded at the start is another matter."""
    for text in ("a first text", "another one", "a third text"):
        await client.ask("POST", "/api/search", {"text": text})
    await asyncio.sleep(1)


memory_peaks = {"server": 0, "children": 0}


async def watch_memory(pid: int) -> None:
    """Note the most resident memory (KiB) of the server, and of any of its children."""
    while True:
        memory_peaks["server"] = max(memory_peaks["server"], peak(pid))
        children = Path(f"/proc/{pid}/task").glob("*/children")
        for child in {each for task in children for each in read(task).split()}:
            memory_peaks["children"] = max(memory_peaks["children"], peak(int(child)))
        await asyncio.sleep(0.2)


def peak(pid: int) -> int:
    words = read(Path(f"/proc/{pid}/status")).partition("VmHWM:")[2].split()
    return int(words[0]) if words else 0


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def percentile(seconds: list[float], percent: float) -> float:
    """In milliseconds."""
    return 1000 * float(np.percentile(seconds, percent)) if seconds else math.nan


def new_pictures(folder: Path, number: int) -> None:
    """Pictures of 1024 x 768 of smooth random colours."""
    folder.mkdir(exist_ok=True)
    for each in range(number):
        noise = np.random.default_rng(each).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC)
        picture.save(folder / f"{each:04}.jpg", quality=90)


if __name__ == "__main__":
    main()
