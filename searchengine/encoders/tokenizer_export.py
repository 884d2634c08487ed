"""Write open_clip's tokenizers as `tokenizer.json`, and prove that the copy is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from searchengine.encoders.folder import CONFIG, TOKENIZER
from searchengine.encoders.tokenizer import Tokenizer
from searchengine.errors import ModelError

# CLIP's own pattern (openai/CLIP, simple_tokenizer.py): contractions, letters, digits, the rest.
# It ignores case, so U+017F after "'" is a contraction, and U+0345, which folds to a letter, drops.
_CLIP_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+"

SAMPLE_TEXTS = (
    "",
    "a photo of a dog",
    "Two RED boats, at dusk; don't they're we'll 1234 3.14",
    "café Zürich naïve Ångström ﬁne “quoted” — dash…",
    "🙂 a 👩‍👩‍👧 family & friends &amp; pets",
    "日本語の写真 русский עברית العربية",
    "snake_case <tag> #hash @user e-mail@example.org",
    " ".join(f"word{i}" for i in range(200)),
)


def write_tokenizer(tokenizer: Any, folder: Path, context_length: int) -> None:
    """Save an open_clip tokenizer into a model folder that already has its configuration.

    Raises `ModelError`, and leaves no `tokenizer.json`, when the copy would give other tokens on
    a sample of texts.
    """
    from open_clip.tokenizer import SimpleTokenizer

    if isinstance(tokenizer, SimpleTokenizer):
        backend, pad_id = _byte_pair_backend(tokenizer), 0
    else:
        fast = getattr(tokenizer.tokenizer, "backend_tokenizer", None)
        if fast is None:
            raise ModelError(f"{type(tokenizer.tokenizer).__name__} has no fast form to save")
        tokenizer.tokenizer.save_pretrained(folder)
        backend, pad_id = Backend.from_str(fast.to_str()), tokenizer.tokenizer.pad_token_id or 0
    backend.enable_truncation(context_length)
    backend.enable_padding(length=context_length, pad_id=pad_id)
    backend.save(str(folder / TOKENIZER))
    difference = difference_on_samples(tokenizer, folder)
    if difference is not None:
        (folder / TOKENIZER).unlink()
        raise ModelError(f"{folder}: cannot copy open_clip's tokenizer: differs on {difference!r}")


def _byte_pair_backend(tokenizer: Any) -> Backend:
    """CLIP's byte-pair encoding as the `tokenizers` library spells it."""
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    backend = Backend(models.BPE(tokenizer.encoder, merges, end_of_word_suffix="</w>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    start, end = (tokenizer.decoder[i] for i in (tokenizer.sot_token_id, tokenizer.eot_token_id))
    backend.add_special_tokens([start, end])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(start, tokenizer.sot_token_id), (end, tokenizer.eot_token_id)],
    )
    return backend


def difference_on_samples(tokenizer: Any, folder: Path) -> str | None:
    """The first sample text to which the folder's `tokenizer.json` gives other tokens, if any."""
    text_config = json.loads((folder / CONFIG).read_bytes())["model_cfg"]["text_cfg"]
    copy = Tokenizer(folder / TOKENIZER, text_config)
    expected = tokenizer(list(SAMPLE_TEXTS)).numpy()
    got = copy(SAMPLE_TEXTS, pad=True)
    for text, a, b in zip(SAMPLE_TEXTS, expected, got, strict=True):
        if not np.array_equal(a, b):
            return text[:40]
    return None
