"""The language of the search box: what is typed after a minus counts against a picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from searchengine.query import Feedback, Part, Request
from searchengine.web.asking import ImagePart, PartBody, SearchBody, TextPart

_PIECE: Final = re.compile(
    r"""
    (?<!\S)-["“”](?P<phrase>[^"“”]*)["“”]             # -"two words"
    | ["“”][^"“”]*["“”]                               # "a - b": as it is
    | (?<!\S)-(?P<word>(?:\w|[^\x00-\x7f“”\s])[^\s"“”]*)  # -term, but not "x-ray", " - ", "--"
    """,
    re.VERBOSE,
)

Resolve = Callable[[str], bytes]
"""From an upload's key to the picture's bytes."""


def split_minus(text: str) -> tuple[str, list[str]]:
    """What a typed text asks for, and what it asks not to show.

    `a dog -snow -"a red ball"` gives `a dog` and the others. A hyphen counts only at the start of
    a word; quotation marks stay, for the engine reads them.
    """
    unwanted: list[str] = []

    def take(piece: re.Match[str]) -> str:
        term = (piece["phrase"] or piece["word"] or "").strip()
        if not term:
            return piece[0]
        unwanted.append(term)
        return ""

    wanted = _PIECE.sub(take, text)
    return (wanted.strip(), unwanted) if unwanted else (text, [])


def request_of(body: SearchBody, resolve: Resolve) -> Request | None:
    """What is searched for; None where nothing is.

    Raises:
        QueryError: a filter or a part is not what it should be.
        Problem: an uploaded picture is no longer kept.
    """
    wanted, unwanted = split_minus(body.text or "")
    request = Request(
        tuple(_parts(body.plus, resolve)),
        (*map(Part, unwanted), *_parts(body.minus, resolve)),
        body.filters.filters(),
        Feedback.of(body.more, body.less),
    )
    if wanted.strip():
        return request.with_text(wanted, raw=body.raw)
    return request if request.plus or request.minus or request.feedback else None


def _parts(bodies: Sequence[PartBody], resolve: Resolve) -> list[Part]:
    return [_part(each, resolve) for each in bodies]


def _part(body: PartBody, resolve: Resolve) -> Part:
    if isinstance(body, TextPart):
        return Part(body.text, body.weight)
    if isinstance(body, ImagePart):
        return Part(body.id, body.weight)
    return Part(resolve(body.upload), body.weight)


def in_words(request: Request) -> str:
    """A query on one line: `a beach + 0.5:id:7 - people`; an uploaded picture is `a picture`."""
    shown = " + ".join(map(_in_words, request.plus))
    return " ".join(filter(None, [shown, *(f"- {_in_words(part)}" for part in request.minus)]))


def _in_words(part: Part) -> str:
    weight = "" if part.weight == 1 else f"{part.weight:g}:"
    content = part.content
    if isinstance(content, int):
        return f"{weight}id:{content}"
    return f"{weight}{content if isinstance(content, str) else 'a picture'}"
