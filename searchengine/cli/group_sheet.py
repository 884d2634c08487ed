"""Groups of duplicates as one HTML page that carries its thumbnails in itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from searchengine.cli.duplicates import size_of_copies
from searchengine.cli.output import counted, in_units
from searchengine.cli.page_parts import as_html, as_link
from searchengine.cli.thumbnails import data_uri, thumbnail
from searchengine.errors import ImageError, SearchEngineError

if TYPE_CHECKING:
    from searchengine.duplicates import Group
    from searchengine.types import IndexedImage

_HEIGHT = 160

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{groups} of duplicates</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }}
body {{ margin: 1.5rem; }}
h2 {{ font-size: 1rem; margin: 2rem 0 .5rem; }}
ul {{ display: flex; flex-wrap: wrap; gap: 1rem; list-style: none; margin: 0; padding: 0; }}
li {{ max-width: 320px; overflow-wrap: anywhere; }}
a {{ color: inherit; }}
a:focus-visible {{ outline: 3px solid Highlight; }}
img {{ display: block; height: 160px; max-width: 100%; object-fit: contain; border-radius: 6px; }}
small {{ opacity: .75; }}
</style>
<h1>{groups} of duplicates</h1>
"""

_TITLE = "<h2>{kind}: {count} pictures, copies take {bytes}</h2>\n<ul>\n"

_ITEM = """<li><a href="{link}">{picture}{path}</a><br>
<small>{width} &times; {height} &middot; {bytes}{taken}</small></li>
"""


def write_group_sheet(path: Path, groups: Sequence[Group]) -> None:
    """Write the page; a picture that cannot be read any more is shown by its reason.

    Raises `SearchEngineError` when the page cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", errors="replace") as page:
            page.write(_HEAD.format(groups=counted(len(groups), "group")))
            for group in groups:
                copies = in_units(size_of_copies(group))
                page.write(_TITLE.format(kind=group.kind, count=len(group.images), bytes=copies))
                page.writelines(map(_item, group.images))
                page.write("</ul>\n")
            page.write("</html>\n")
    except OSError as error:
        raise SearchEngineError(
            f"cannot write {path}: {error.strerror}; name another file"
        ) from error


def _item(image: IndexedImage) -> str:
    return _ITEM.format(
        link=as_link(image.path),
        picture=_thumbnail(image),
        path=as_html(image.path),
        width=image.info.width,
        height=image.info.height,
        bytes=in_units(image.file.size),
        taken=f" &middot; {as_html(image.info.taken_at)}" if image.info.taken_at else "",
    )


def _thumbnail(image: IndexedImage) -> str:
    try:
        picture = thumbnail(image.file, (2 * _HEIGHT, _HEIGHT))
    except ImageError as error:
        return f"<p>{as_html(str(error))}</p>"
    return f'<img alt="" src="{data_uri(picture)}">'
