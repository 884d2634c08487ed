"""What collections and tables of embeddings are called."""

from __future__ import annotations

import re

from searchengine.errors import StoreError
from searchengine.types import EncoderSpec

_ALIAS = re.compile(r"[a-z_][a-z0-9_]{0,39}", re.ASCII)


def collection_name(alias: str, spec: EncoderSpec) -> str:
    """The name of what holds the embeddings of one encoder: the alias and its fingerprint's start.

    Raises:
        StoreError: the alias is not a name that every engine takes as it is.
    """
    if not _ALIAS.fullmatch(alias):
        raise StoreError(
            f"{alias!r} is no name for a collection: take up to 40 small letters, digits and _"
        )
    return f"{alias}_{re.sub(r'[^a-z0-9]', '_', spec.fingerprint[:12].lower())}"
