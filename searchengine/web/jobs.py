"""Routes of the indexing jobs: start, ask, follow, cancel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi.responses import StreamingResponse

from searchengine.web.asking import Body, IndexName
from searchengine.web.job_board import Job, JobBoard
from searchengine.web.library import Served

_SILENCE: Final = 15.0  # seconds, after which a proxy, or a sleeping laptop, is told that we live


@asynccontextmanager
async def _jobs_end_with_the_server(app: FastAPI) -> AsyncIterator[None]:
    board = app.state.jobs = JobBoard()
    yield
    await to_thread.run_sync(board.close)


router = APIRouter(tags=["jobs"], lifespan=_jobs_end_with_the_server)


async def _board(request: Request) -> JobBoard:
    board: JobBoard = request.app.state.jobs
    return board


Board = Annotated[JobBoard, Depends(_board)]
JobId = Annotated[str, Path(max_length=64)]


class NewJob(Body):
    """What to do: bring the folders of an index up to date."""

    index: IndexName = None
    retry_failed: bool = False


@router.post("/api/jobs", status_code=202)
def start(asked: NewJob, library: Served, board: Board, response: Response) -> Job:
    """Refresh the folders of an index; one job at a time for each."""
    name = library.name(asked.index)
    engine = library.engine(name)
    job = board.start(name, engine.catalog.folder, engine.device, asked.retry_failed)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job


@router.get("/api/jobs/{job_id}")
def get(job_id: JobId, board: Board) -> Job:
    """How a job stands."""
    return board.get(job_id)


@router.delete("/api/jobs/{job_id}")
def cancel(job_id: JobId, board: Board) -> Job:
    """Ask a job to stop; what it has written stays."""
    return board.cancel(job_id)


@router.get(
    "/api/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(job_id: JobId, board: Board) -> StreamingResponse:
    """How a job stands, and then every change of that, until it has ended."""
    board.get(job_id)  # 404 before the answer begins
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(board, job_id), headers=headers, media_type="text/event-stream"
    )


async def _stream(board: JobBoard, job_id: str) -> AsyncIterator[str]:
    data = ""
    async with aclosing(board.changes(job_id, _SILENCE)) as changes:
        async for job in changes:
            if job is None:
                yield ": nothing new\n\n"
                continue
            data = f"data: {json.dumps(asdict(job))}\n\n"
            yield f"event: progress\n{data}"
    yield f"event: end\n{data}"
