"""The content words of a text, in a form that is the same for `dog` and `dogs`."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

QUOTATION_MARK: Final = re.compile(r'["“”]')
QUOTED: Final = re.compile(r'["“”]([^"“”]*)["“”]')
"""What a person has put in quotation marks, to be taken literally."""

_WORD: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")
_IRREGULAR: Final = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
    "leaves": "leaf",
    "knives": "knife",
    "bike": "bicycle",
    "bikes": "bicycle",
}
_SAY_NOTHING: Final = (
    "a about across after against all along am among an and another any are around as at away be "
    "been before behind being below beside between both but by can could did do does doing down "
    "during each for from had has have having he her hers him his how i if in inside into is it "
    "its itself just me more most my near next no nor not of off on one onto or other our out "
    "outside over own shall she should so some someone something somewhere such than that the "
    "their them then there these they this those through to together toward towards two under "
    "until up upon us very was we were what when where which while who whom whose why will with "
    "within without would you your s t picture photo photograph image"
)
_FUNCTION_WORDS: Final = frozenset(_SAY_NOTHING.split())


def keywords(text: str) -> list[str]:
    """The stems of a text's content words, in order, each once; English (Porter's stemmer)."""
    return list(forms(text))


def forms(text: str) -> dict[str, str]:
    """The stems of a text's content words, each with the word it stands for."""
    words = (_IRREGULAR.get(word, word) for word in _WORD.findall(text.lower()))
    return {_stem(word): word for word in words if word not in _FUNCTION_WORDS}


@cache
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")
