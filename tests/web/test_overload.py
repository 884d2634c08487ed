from __future__ import annotations

import random
import threading
import time
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from searchengine.web import problems
from searchengine.web.guard import Guard
from searchengine.web.overload import Bounded, Limiter, limiter
from searchengine.web.problems import Problem
from tests.web.doors import ADDRESS, settings


async def never() -> None:
    await anyio.sleep_forever()


async def now() -> None:
    await anyio.sleep(0)


def idle(slots: Limiter, concurrency: int) -> bool:
    return (slots.running, slots.waiting, slots._slots.value) == (0, 0, concurrency)


def test_no_more_run_at_once_than_there_are_slots_and_they_run_in_order() -> None:
    slots, most, order = Limiter(2, 10), 0, []

    async def work(n: int) -> None:
        nonlocal most
        async with slots.slot(never):
            most = max(most, slots.running)
            order.append(n)
            await anyio.sleep(0.001)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for n in range(10):
                tasks.start_soon(work, n)

    anyio.run(main)
    assert most == 2
    assert order == sorted(order)
    assert idle(slots, 2)


def test_beyond_those_who_may_wait_everybody_is_refused_at_once() -> None:
    slots = Limiter(1, 2)

    async def hold() -> None:
        async with slots.slot():
            await anyio.sleep_forever()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(hold)
            await anyio.sleep(0.01)
            assert (slots.running, slots.waiting) == (1, 2)
            with pytest.raises(Problem) as refusal, anyio.fail_after(0.1):
                async with slots.slot():
                    pass
            assert refusal.value.status == 503
            assert refusal.value.headers["Retry-After"] == "1"
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert slots.refused == 1
    assert idle(slots, 1)


def test_who_waits_too_long_gives_up() -> None:
    slots = Limiter(1, 2, patience=0.01)

    async def main() -> None:
        async with slots.slot():
            with pytest.raises(Problem, match="too many requests"):
                async with slots.slot(never):
                    pass
            assert slots.waiting == 0

    anyio.run(main)
    assert slots.refused == 1
    assert idle(slots, 1)


def test_who_leaves_does_not_wait_on() -> None:
    slots = Limiter(1, 2)

    async def main() -> None:
        async with slots.slot():
            with pytest.raises(ClientDisconnect), anyio.fail_after(1):
                async with slots.slot(now):
                    pass
        assert idle(slots, 1)
        async with slots.slot(now):  # with a slot free there is no wait to leave
            assert slots.running == 1

    anyio.run(main)


def test_a_failing_request_gives_its_slot_back() -> None:
    slots = Limiter(1, 0)

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="a bug"):
                async with slots.slot():
                    raise ValueError("a bug")

    anyio.run(main)
    assert idle(slots, 1)


def test_a_server_without_slots_still_has_one() -> None:
    assert idle(Limiter(0, 0), 1)


@pytest.mark.parametrize("seed", range(20))
def test_no_slot_is_lost_whatever_happens_to_those_who_wait(seed: int) -> None:
    chance = random.Random(seed)
    slots = Limiter(3, 20, patience=0.004)

    async def leave() -> None:
        await anyio.sleep(chance.choice([0, 0, 0.001, 0.002, 1]))

    async def work() -> None:
        await anyio.sleep(chance.choice([0, 0, 0.001, 0.003]))
        try:
            with anyio.move_on_after(chance.choice([0, 0.001, 0.002, 1])):
                async with slots.slot(chance.choice([leave, None])):
                    assert slots.running <= 3
                    await anyio.sleep(chance.choice([0, 0.001]))
                    if chance.random() < 0.2:
                        raise ValueError
        except (ClientDisconnect, Problem, ValueError):
            pass

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(work)

    anyio.run(main)
    assert idle(slots, 3)


class Gate:
    """A route that works until it is told to go on."""

    def __init__(self, **changes: Any):
        self.app = FastAPI()
        self.app.state.settings = settings(**changes)
        self.go, self.began = threading.Event(), threading.Semaphore(0)
        problems.install(self.app)
        self.app.get("/work")(self.work)
        self.app.post("/raw")(self.raw)
        self.app.get("/stream")(self.stream)
        self.app.add_middleware(Guard, settings=self.app.state.settings)

    def work(self, slot: Bounded) -> int:
        self.began.release()
        assert self.go.wait(5)
        return limiter(self.app).running

    async def raw(self, request: Request, slot: Bounded) -> int:
        return len(await request.body())

    async def stream(self, slot: Bounded) -> StreamingResponse:
        async def parts() -> Any:
            yield str(limiter(self.app).running)

        return StreamingResponse(parts())


def test_a_plain_route_holds_a_slot_for_its_work_and_no_thread_while_it_waits() -> None:
    gate = Gate(concurrency=1, waiting=1)
    statuses: list[int] = []

    with TestClient(gate.app, ADDRESS) as client:

        def ask() -> None:
            statuses.append(client.get("/work").status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert gate.began.acquire(timeout=5)
        until = time.monotonic() + 5
        while limiter(gate.app).waiting < 1 and time.monotonic() < until:
            time.sleep(0.001)
        refused = client.get("/work")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-content-type-options"] == "nosniff"
        gate.go.set()
        for thread in threads:
            thread.join(5)
    assert statuses == [200, 200]
    assert idle(limiter(gate.app), 1)


def test_the_slot_is_free_again_while_the_answer_is_sent() -> None:
    assert TestClient(Gate(concurrency=1).app, ADDRESS).get("/stream").text == "0"


def test_two_applications_have_slots_of_their_own() -> None:
    assert limiter(Gate().app) is not limiter(Gate().app)


def exchange(gate: Gate, method: str, path: str, parts: list[dict[str, Any]]) -> Any:
    """Send `parts` while the only slot is taken, free it, and see what comes back."""
    sent: list[Any] = []

    async def receive() -> Any:
        if not parts:
            await anyio.sleep_forever()
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost:8765")],
        }
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks, limiter(gate.app).slot():
                tasks.start_soon(gate.app, scope, receive, send)
                await anyio.sleep(0.02)
                sent.append(limiter(gate.app).waiting)

    anyio.run(main)
    return sent


def test_a_client_that_leaves_while_it_waits_frees_its_place() -> None:
    gone = {"type": "http.disconnect"}
    empty = {"type": "http.request", "body": b"", "more_body": False}
    gate = Gate(concurrency=1)
    gate.go.set()
    assert exchange(gate, "GET", "/work", [empty, gone]) == [0]
    assert exchange(gate, "GET", "/work", [empty])[0] == 1
    assert idle(limiter(gate.app), 1)


def test_a_body_that_the_route_reads_itself_is_not_swallowed_by_the_wait() -> None:
    parts = [{"type": "http.request", "body": b"abc", "more_body": False}]
    waited, start, body = exchange(Gate(concurrency=1), "POST", "/raw", parts)[:3]
    assert waited == 1
    assert start["status"] == 200
    assert body["body"] == b"3"
