"""Hits as one HTML page that carries its thumbnails in itself."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from searchengine import images
from searchengine.errors import ImageError, SearchEngineError

if TYPE_CHECKING:
    from searchengine.types import Hit

_SIDE = 320

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{query} - {count} pictures</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }}
body {{ margin: 1.5rem; }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1rem;
     list-style: none; padding: 0; }}
figure {{ margin: 0; }}
a {{ display: flex; height: 220px; background: #8882; border-radius: 6px; overflow: hidden;
    align-items: center; justify-content: center; color: inherit; }}
a:focus-visible {{ outline: 3px solid Highlight; }}
img {{ width: 100%; height: 100%; object-fit: contain; }}
figcaption {{ padding: .3rem .1rem; overflow-wrap: anywhere; }}
small {{ opacity: .75; }}
</style>
<h1>{query}</h1>
<ol>
{figures}
</ol>
</html>
"""

_FIGURE = """<li><figure><a href="{link}" title="{path}">{picture}</a>
<figcaption>{rank}. {name}<br><small>cosine {score:.3f} &middot; {width} &times; {height}</small>
</figcaption></figure></li>"""


def write_contact_sheet(path: Path, query: str, hits: Sequence[Hit]) -> None:
    """Write the page; a picture that cannot be read any more is shown by its reason.

    Raises `SearchEngineError` when the page cannot be written.
    """
    figures = "\n".join(_figure(rank, hit) for rank, hit in enumerate(hits, 1))
    page = _PAGE.format(query=_text(query), count=len(hits), figures=figures)
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise SearchEngineError(
            f"cannot write {path}: {error.strerror}; name another file"
        ) from error


def _figure(rank: int, hit: Hit) -> str:
    return _FIGURE.format(
        link=html.escape(Path(hit.path).as_uri()),
        path=_text(hit.path),
        picture=_thumbnail(hit),
        rank=rank,
        name=_text(Path(hit.path).name),
        score=hit.score,
        width=hit.image.info.width,
        height=hit.image.info.height,
    )


def _thumbnail(hit: Hit) -> str:
    try:
        picture = images.read(hit.path, min_side=_SIDE // 2).image
    except ImageError as error:
        return f"<span>{_text(str(error))}</span>"
    picture.thumbnail((2 * _SIDE, _SIDE))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{_text(Path(hit.path).name)}" src="data:image/jpeg;base64,{data}">'


def _text(value: str) -> str:
    return html.escape(value.encode("utf-8", "replace").decode())
