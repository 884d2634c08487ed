"""Logging in: the token opens a session, whose id a cookie keeps out of scripts' reach."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from searchengine.web.access import SESSION_SECONDS, Access
from searchengine.web.problems import Problem

router = APIRouter(prefix="/api", tags=["session"])


class Login(BaseModel):
    """What a person types."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1000)


class Session(BaseModel):
    """Whether the page has to ask for the token."""

    authenticated: bool
    needs_token: bool


def _access(request: Request) -> Access:
    access: Access = request.state.access
    return access


Known = Annotated[Access, Depends(_access)]


# These are coroutines although they await nothing: what `Access` holds belongs to the event loop.
@router.post("/login", status_code=204)
async def login(body: Login, request: Request, access: Known) -> Response:
    """Open a session with the server's token; 401 if it is another one."""
    response = Response(status_code=204)
    if not access.needs_token:
        return response
    if not access.accepts(body.token.strip().encode("utf-8", "replace"), request.scope):
        raise Problem(401, "this is not the token; the server's start shows or names the right one")
    access.end_session(request.scope)
    response.set_cookie(
        access.cookie,
        access.open_session(),
        max_age=SESSION_SECONDS,
        path="/",
        secure=_is_encrypted(request),
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout", status_code=204)
async def logout(request: Request, access: Known) -> Response:
    """End the session, here and in the browser."""
    access.end_session(request.scope)
    response = Response(status_code=204)
    response.delete_cookie(access.cookie, path="/", httponly=True, samesite="strict")
    return response


@router.get("/session")
async def session(request: Request, access: Known) -> Session:
    """Tell whether a token is needed, and whether this client has shown it."""
    return Session(authenticated=access.is_known(request.scope), needs_token=access.needs_token)


def _is_encrypted(request: Request) -> bool:
    """Whether the browser came by https, be it only as far as a proxy before this server."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https://")
