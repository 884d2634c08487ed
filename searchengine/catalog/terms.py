"""The words of a text, and what a person who types words and quotations looks for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from searchengine.keywords import QUOTED

Words: TypeAlias = Mapping[str, Sequence[str]]
"""Field -> the words of an image there, folded, in their order."""

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_CUT = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
)
_EXTENSION = re.compile(r"\.[^\W_]+$")
_FUNCTION_WORDS = (
    "a an and are as at be by for from in is it its of on or that the their there these this to "
    "was were with"
)
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


def fold(text: str) -> str:
    """The text without case and diacritics; its punctuation stays."""
    if text.isascii():
        return text.lower()
    # Case folding makes a letter of one mark (U+0345), and a mark with one letter (U+0130).
    return _without_marks(_without_marks(text).casefold())


def words_of(text: str) -> list[str]:
    """The words of a text, folded: runs of letters and digits."""
    folded = fold(text)
    if folded.isascii():
        return _ASCII_WORD.findall(folded)
    # Vowel signs of Indic scripts (Mc) are no letters to Python, but parts of a word.
    return "".join(
        c if c.isalnum() or unicodedata.category(c) == "Mc" else " " for c in folded
    ).split()


def words_of_name(name: str) -> list[str]:
    """The words of a file name or folder; then the parts of those like `beachParty2`."""
    plain = name if name.isascii() else _without_marks(name)
    words = words_of(plain)
    return words + [part for part in words_of(_CUT.sub(" ", plain)) if part not in words]


def _without_marks(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


@dataclass(frozen=True, slots=True)
class Quotation:
    """A quotation as it was typed, folded, and its words; `stem` lacks a file's extension.

    One of punctuation only has no words, and `.jpg` no stem.
    """

    typed: str
    folded: str
    words: tuple[str, ...]
    stem: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person looks for: every one of the plain words, and every quotation."""

    words: tuple[str, ...]
    quotations: tuple[Quotation, ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.quotations)


def wanted(text: str) -> Wanted:
    """Read what a person typed; function words count only where there is nothing else."""
    quoted = dict.fromkeys(each.strip() for each in QUOTED.findall(text))
    quotations = tuple(_quotation(each) for each in quoted if each)
    every = dict.fromkeys(words_of(QUOTED.sub(" ", text)))
    content = tuple(each for each in every if each not in _STOP_WORDS)
    return Wanted(content or (() if quotations else tuple(every)), quotations)


def _quotation(typed: str) -> Quotation:
    folded = fold(typed)
    words = tuple(words_of(typed))
    return Quotation(typed, folded, words, words[:-1] if _EXTENSION.search(folded) else words)
