"""Texts to embeddings: short queries as a person would caption a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.query.text_cache import TextCache
from searchengine.types import Embeddings

SHORT: Final = 3  # words up to which a query is put into templates
TEMPLATES: Final = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a photo that shows {}",
    "there is {} in the picture",
)


def is_short(text: str) -> bool:
    """Whether a query is a name rather than a description."""
    return len(text.split()) <= SHORT


def embed_texts(
    encode: Callable[[Sequence[str]], Embeddings],
    fingerprint: str,
    texts: Sequence[str],
    cache: TextCache,
    *,
    raw: bool,
) -> Embeddings:
    """The (n, dim) embeddings of queries, in one batch; `encode` is not called for known ones.

    Unless `raw`, the embedding of a short one is the mean over templates (A. Radford et al.,
    "Learning Transferable Visual Models from Natural Language Supervision", section 3.1.4).
    """
    forms = {text: _forms(text, raw) for text in texts}
    keys = {text: "\n".join(forms[text]) for text in forms}
    found = cache.get(fingerprint, list(keys.values()))
    new = [text for text, key in keys.items() if key not in found]
    if new:
        encoded = encode([form for text in new for form in forms[text]])
        ends = np.cumsum([len(forms[text]) for text in new])
        parts = np.split(encoded, ends[:-1])
        made = {keys[text]: _mean(part) for text, part in zip(new, parts, strict=True)}
        cache.put(fingerprint, made)
        found |= made
    return np.stack([found[keys[text]] for text in texts]).astype(np.float32)


def _mean(embeddings: Embeddings) -> NDArray[np.float32]:
    mean = embeddings.mean(0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def _forms(text: str, raw: bool) -> list[str]:
    if raw or not is_short(text):
        return [text]
    return [template.replace("{}", text.strip()) for template in TEMPLATES]
