"""File names in files that hold UTF-8: bytes that are not are written as the catalog has them."""

from __future__ import annotations

from searchengine.catalog.schema import AnyText

_names = AnyText()


def to_text(name: str) -> str:
    """A name as text that UTF-8 can hold; see `AnyText`."""
    return str(_names.process_bind_param(name, None))


def to_name(text: str) -> str:
    """The name that `to_text` wrote."""
    return str(_names.process_result_value(text, None))
