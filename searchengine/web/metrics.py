"""What the server did, for Prometheus: `GET /metrics`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from fastapi import APIRouter, FastAPI, Request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchengine.errors import SearchEngineError
from searchengine.web.overload import limiter
from searchengine.web.problems import Problem

router = APIRouter()

_log = logging.getLogger("searchengine.web")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LEFT = 499  # nginx's number for a client that closed the connection


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self, app: FastAPI):
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "searchengine_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "searchengine_request_seconds",
            "Seconds from a request until its answer begins, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_State(app))

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request; its labels are the server's own words, never the client's."""
        mount = scope.get("root_path")  # what is mounted, as static files are, sets no route
        route = getattr(scope.get("route"), "path", None) or mount or "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class _State(Collector):
    """What is so at the moment: work under way, and the sizes of the indexes."""

    def __init__(self, app: FastAPI):
        self._app = app

    def describe(self) -> list[Metric]:
        """Nothing: the indexes are not opened before somebody wants to know."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The numbers now; an index that cannot be read has none."""
        slots = limiter(self._app)
        running = "Expensive requests that are worked on."
        yield GaugeMetricFamily("searchengine_searches_in_flight", running, slots.running)
        waiting = "Expensive requests that wait for their turn."
        yield GaugeMetricFamily("searchengine_searches_waiting", waiting, slots.waiting)
        refused = "Expensive requests that were refused because too many waited."
        yield CounterMetricFamily("searchengine_searches_refused", refused, slots.refused)
        images = GaugeMetricFamily("searchengine_images", "Images in an index.", labels=["index"])
        library = self._app.state.library
        for name in library.names:
            try:
                images.add_metric([name], library.engine(name).catalog.count)
            except (SearchEngineError, Problem, OSError) as error:
                _log.warning("no metrics of the index %s: %s", name, error)
        yield images


class Counting:
    """ASGI middleware that counts what passes; around `Guard`, it counts refusals too."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and count it once its answer begins or it ended without one."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, counted = time.perf_counter(), False

        def count(status: int) -> None:
            nonlocal counted
            if not counted:
                counted = True
                self._metrics.count(scope, status, time.perf_counter() - begin)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            count(_LEFT)


def install(app: FastAPI) -> None:
    """Count the requests to `app`, whose state has its `library` and `settings` by then."""
    app.state.metrics = Metrics(app)
    app.add_middleware(Counting, metrics=app.state.metrics)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Every metric in Prometheus's text format."""
    registry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
