"""What a text says should not be there: no CLIP model understands "no"."""

from __future__ import annotations

import re
from typing import Final

from searchengine.keywords import QUOTATION_MARK

_NOT: Final = re.compile(
    r"[\s,;]+(?:(?:but|and)\s)?\b(?:with\sno|without|no|not|except)\s+(?:(?:any|a|an|the)\s+)?(?=\w)",
    re.IGNORECASE,
)
_END: Final = re.compile(r"[,;.()]")


def split_negation(text: str) -> tuple[str, list[str]]:
    """What a text asks for, and what it says should not be there.

    "a street without cars, at night" gives "a street, at night" without its "cars". Models read
    past the word (Alhamoud et al., "Vision-Language Models Do Not Understand Negation", arXiv
    2501.09425), and find cars. A text that begins with "no" names a thing, as "no entry" does;
    a text with quoted words is left alone.
    """
    wanted, *rest = _NOT.split(" ".join(text.split()))
    if not re.search(r"\w", wanted) or QUOTATION_MARK.search(text):
        return text, []
    unwanted = []
    for piece in rest:
        end = _END.search(piece)
        unwanted.append(piece[: end.start()].strip() if end else piece)
        wanted += piece[end.start() :] if end else ""
    return (wanted, unwanted) if unwanted else (text, [])
