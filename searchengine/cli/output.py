"""Results as lines for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from searchengine.types import Hit


def echo_json(value: Any) -> None:
    """Print one JSON object on one line; undecodable bytes of a path stay lone surrogates."""
    click.echo(json.dumps(value))


def hits_as_json(query: str, hits: Sequence[Hit]) -> dict[str, Any]:
    """The fixed JSON of `search` and `similar`."""
    return {
        "query": query,
        "hits": [
            {
                "rank": rank,
                "id": hit.id,
                "path": hit.path,
                "score": round(hit.score, 6),
                "width": hit.image.info.width,
                "height": hit.image.info.height,
                "taken_at": hit.image.info.taken_at,
            }
            for rank, hit in enumerate(hits, 1)
        ],
    }


def echo_hits(hits: Sequence[Hit]) -> None:
    """Print one hit a line: rank, cosine, path."""
    for rank, hit in enumerate(hits, 1):
        click.echo(f"{rank:>4}  {hit.score:6.3f}  {on_one_line(hit.path)}")


def on_one_line(path: str) -> str:
    """A path with its control characters escaped, so that a newline in a name stays visible."""
    return "".join(c if c.isprintable() or _is_byte(c) else repr(c)[1:-1] for c in path)


def _is_byte(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"
