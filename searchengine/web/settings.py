"""How the server is reached, and what it may take of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs


def default_cache() -> Path:
    """`web` in the user's cache folder."""
    return Path(platformdirs.user_cache_dir("searchengine", appauthor=False)) / "web"


@dataclass(frozen=True)
class Settings:
    """Where the server listens, who may ask, and how much it keeps and does at once."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    """What a client must know; None lets everybody on this machine in."""
    hosts: tuple[str, ...] = ()
    """Names, besides the loopback ones, under which the server may be addressed."""
    cache: Path = field(default_factory=default_cache)
    cache_bytes: int = 512 * 1024 * 1024
    """Of thumbnails, on disk."""
    upload_bytes: int = 32 * 1024 * 1024
    """Of one example picture."""
    concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Expensive requests at once."""
    waiting: int = 64
    """Expensive requests that may wait for their turn; others are refused."""
