"""Texts to token ids, as open_clip does it, with the `tokenizers` library alone."""

from __future__ import annotations

import html
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import ModelError

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _fix(text: str) -> str:
    # ftfy and html.unescape leave plain printable ASCII without "&" as it is; not importing ftfy
    # for it keeps a first query fast.
    if not (text.isascii() and text.isprintable() and "&" not in text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return text


def _whitespace(text: str) -> str:
    return " ".join(_fix(text).split())


def _lower(text: str) -> str:
    return _whitespace(text).lower()


def _canonicalize(text: str) -> str:
    text = _fix(text).replace("_", " ").translate(_NO_PUNCTUATION).lower()
    return " ".join(text.split())


_CLEANING: dict[str, Callable[[str], str]] = {
    "whitespace": _whitespace,
    "lower": _lower,
    "canonicalize": _canonicalize,
}


class Tokenizer:
    """A model folder's `tokenizer.json` under open_clip's rules: cleaning, length, padding."""

    def __init__(self, path: Path, text_config: dict[str, Any]):
        """Read the tokenizer; `text_config` is open_clip's `text_cfg`. Raises `ModelError`."""
        from tokenizers import Tokenizer as Backend

        try:
            self._backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise ModelError(f"{path}: not a tokenizer: {' '.join(str(error).split())}") from error
        options = text_config.get("tokenizer_kwargs") or {}
        is_hugging_face = bool(text_config.get("hf_tokenizer_name"))
        clean = options.get("clean", "whitespace" if is_hugging_face else "lower")
        if clean not in _CLEANING:
            raise ModelError(f"{path.parent}: unknown cleaning {clean!r} in tokenizer_kwargs")
        self._clean = _CLEANING[clean]
        self._strip_sep = bool(options.get("strip_sep_token"))
        self._sep_id = self._backend.token_to_id("[SEP]")
        self.context_length = int(text_config.get("context_length") or 77)
        padding = self._backend.padding or {}
        self._pad_id = int(padding.get("pad_id", 0))
        self._backend.no_padding()
        self._backend.enable_truncation(self.context_length)

    def __call__(self, texts: Sequence[str], *, pad: bool) -> NDArray[np.int64]:
        """Token ids, (n, L) int64: L is the context length with `pad`, else the longest text's."""
        # A lone surrogate (an undecodable byte of the command line) cannot be encoded as UTF-8.
        readable = [text.encode("utf-8", "replace").decode() for text in texts]
        rows = [e.ids for e in self._backend.encode_batch([self._clean(t) for t in readable])]
        length = self.context_length if pad else max([1, *map(len, rows)])
        tokens = np.full((len(rows), length), self._pad_id, np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        if self._strip_sep:
            tokens[tokens == self._sep_id] = 0
        return tokens
