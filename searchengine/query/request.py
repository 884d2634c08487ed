"""What a person asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from searchengine.errors import QueryError
from searchengine.filters import Filters
from searchengine.keywords import QUOTATION_MARK, QUOTED
from searchengine.query.feedback import Feedback, check_id
from searchengine.query.negation import split_negation
from searchengine.types import Relevance

_HEAVIEST: Final = 1e6

Content: TypeAlias = str | Path | bytes | int
"""A text, a picture's file, a picture's bytes, or the id of an indexed image."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the pictures should show, and how much it counts beside the others."""

    content: Content
    weight: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.content, str) and not self.content.strip():
            raise QueryError("the query is empty; describe what the picture shows")
        if isinstance(self.content, int):
            check_id(self.content)
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise QueryError(
                f"the weight {self.weight:g} is not a positive number; "
                "what the pictures should not show goes into minus"
            )
        if not 1 / _HEAVIEST <= self.weight <= _HEAVIEST:
            raise QueryError(
                f"the weight {self.weight:g} is out of proportion; "
                f"give one from {1 / _HEAVIEST:g} to {_HEAVIEST:g}"
            )

    @property
    def text(self) -> str | None:
        """What the encoder reads of a text: all of it, without quotation marks."""
        if not isinstance(self.content, str):
            return None
        return QUOTATION_MARK.sub(" ", self.content).strip() or self.content


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a query is answered."""

    raw: bool = False
    """The bare cosine: no prompt templates, and an order that the references do not touch."""
    semantic_only: bool = False
    """Leave file names, folders and captions out."""
    min_relevance: Relevance | None = None
    collapse: bool = True
    """Show copies of a picture as one hit."""
    diverse: bool = False
    """Prefer hits that are unlike the hits before them."""
    offset: int = 0

    def __post_init__(self) -> None:
        if self.offset < 0:
            raise QueryError(f"the offset is {self.offset}; it cannot be negative")


@dataclass(frozen=True, slots=True)
class Request:
    """A query: what to show, what not to show, among which images, and what its hits were worth."""

    plus: tuple[Part, ...] = ()
    minus: tuple[Part, ...] = ()
    filters: Filters = field(default_factory=Filters)
    feedback: Feedback = field(default_factory=Feedback)

    def with_text(self, text: str, *, raw: bool) -> Request:
        """The same with a text in front; unless `raw`, what it negates counts against."""
        wanted, unwanted = (text, []) if raw else split_negation(text)
        return replace(
            self, plus=(Part(wanted), *self.plus), minus=(*self.minus, *map(Part, unwanted))
        )

    def check(self) -> None:
        """Raise `QueryError` where nothing is asked for."""
        if not self.plus and not self.minus and self.feedback:
            raise QueryError(
                "marked hits alone are no query; "
                "repeat what was searched for, or search for pictures like one of them"
            )
        if not self.plus and not self.minus:
            raise QueryError("the query is empty; describe what the picture shows")

    @property
    def texts(self) -> dict[str, float]:
        """What the pictures should show, in words, with the weights."""
        weights: dict[str, float] = {}
        for part in self.plus:
            if part.text is not None:
                weights[part.text] = weights.get(part.text, 0.0) + part.weight
        return weights

    @property
    def typed(self) -> list[str]:
        """The same with its quotation marks."""
        return [part.content for part in self.plus if isinstance(part.content, str)]

    @property
    def quotations(self) -> list[str]:
        """What a name or a caption must hold literally."""
        return [found for text in self.typed for found in QUOTED.findall(text) if found.strip()]

    @property
    def examples(self) -> list[int]:
        """The indexed images that were given as examples; they are no answers."""
        parts = (*self.plus, *self.minus)
        return [part.content for part in parts if isinstance(part.content, int)]


def check_k(k: int) -> None:
    """Raise `QueryError` unless `k` is a positive number."""
    if k < 1:
        raise QueryError(f"k is {k}; ask for at least one hit")
