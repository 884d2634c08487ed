"""Hits as one HTML page that carries its thumbnails, its style and its script in itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from searchengine.cli.output import counted, remarks, shown_path
from searchengine.cli.page_parts import FIGURE, PAGE, SCRIPT, STYLE, as_html, as_link
from searchengine.cli.thumbnails import data_uri, thumbnail
from searchengine.errors import ImageError, SearchEngineError

if TYPE_CHECKING:
    from searchengine.query.arranging import Group, Ranked
    from searchengine.types import Hit

_BOX: Final = (480, 480)
_NO_GOOD_MATCH: Final = "No good match; these are the nearest."
_WEAK_FROM_HERE: Final = "Weak matches from here on: they may not show what was asked for."


def write_contact_sheet(
    path: Path,
    query: str,
    groups: Sequence[Group],
    *,
    no_good_match: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the page; a picture that cannot be read any more is shown by its reason.

    Raises `SearchEngineError` when the page cannot be written.
    """
    count = sum(len(group.members) for group in groups)
    page = PAGE.format(
        query=as_html(query),
        count=counted(count, "picture"),
        notice=f'<p class="notice">{_NO_GOOD_MATCH}</p>' if no_good_match else "",
        items="\n".join(_items(groups, no_good_match, count, progress)),
        style=STYLE,
        script=SCRIPT,
        script_hash=base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode(),
    )
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise SearchEngineError(
            f"cannot write {path}: {error.strerror}; name another file"
        ) from error


def _items(
    groups: Sequence[Group],
    no_good_match: bool,
    count: int,
    progress: Callable[[int, int], None],
) -> Iterator[str]:
    """The figures, with a heading before each named group and a divider before the weak ones."""
    members = [each for group in groups for each in group.members]
    whole = len(groups) == 1 and not groups[0].name and not no_good_match
    weak_from = _first_of_the_weak(members) if whole else None
    with ThreadPoolExecutor() as readers:
        shown = zip(members, readers.map(lambda each: _thumbnail(each.hit), members), strict=True)
        done = 0
        for group in groups:
            if group.name:
                yield f'<li class="divider"><h2>{as_html(shown_path(group.name))}</h2></li>'
            for _ in group.members:
                if done == weak_from:
                    yield f'<li class="divider"><p>{_WEAK_FROM_HERE}</p></li>'
                each, picture = next(shown)
                yield _figure(each, picture)
                done += 1
                progress(done, count)


def _first_of_the_weak(members: Sequence[Ranked]) -> int | None:
    """Where the weak hits begin that only weak ones follow, in a list that is in order of rank."""
    if [each.rank for each in members] != sorted(each.rank for each in members):
        return None
    first = len(members)
    while first and members[first - 1].hit.relevance == "weak":
        first -= 1
    return first


def _figure(each: Ranked, picture: str) -> str:
    hit = each.hit
    info = hit.image.info
    facts = (
        hit.relevance and f'<span class="relevance">{hit.relevance}</span>',
        info.taken_at and f"<span>{as_html(info.taken_at[:10])}</span>",
        f"<span>{info.width} &times; {info.height}</span>",
        f'<span class="score">cosine {hit.score:.3f}</span>',
    )
    return FIGURE.format(
        link=as_link(hit.path),
        path=as_html(hit.path),
        picture=picture,
        rank=each.rank,
        name=as_html(Path(hit.path).name),
        relevance=hit.relevance or "",
        facts="".join(filter(None, facts)),
        remarks=_remarks(hit),
    )


def _remarks(hit: Hit) -> str:
    known = remarks(hit)
    if not hit.copies:
        return f"<small>{as_html(known)}</small>" if known else ""
    links = "".join(
        f'<li><a href="{as_link(copy.path)}">{as_html(copy.path)}</a></li>' for copy in hit.copies
    )
    return f"<details><summary>{as_html(known)}</summary><ul>{links}</ul></details>"


def _thumbnail(hit: Hit) -> str:
    try:
        picture = thumbnail(hit.image.file, _BOX)
    except ImageError as error:
        return f'<span class="missing">{as_html(str(error))}</span>'
    return (
        f'<img alt="{as_html(Path(hit.path).name)}" width="{picture.width}" '
        f'height="{picture.height}" decoding="async" src="{data_uri(picture)}">'
    )
