"""What people call the things they photograph: a model's reference photographs, as words.

A cosine alone says little: some pictures are near to every text, and how near a right answer is
depends on the model and on the query. A model folder therefore holds a few thousand reference
texts, each the words by which several people described one photograph. Beside a picture, they tell
two things: how near it is to texts in general (its hubness; N. Chowdhury et al., "Nearest Neighbor
Normalization Improves Multimodal Retrieval", arXiv 2410.24114), and what people would call what
it shows: the words of the references that it is nearest to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.folder import BUILTIN, ModelFolder
from searchengine.errors import ModelError
from searchengine.keywords import forms, keywords
from searchengine.types import Embeddings, Encoder

TEXTS: Final = "reference.txt"
EMBEDDINGS: Final = "reference.npy"

_AGREED: Final = 0.4  # share of people who must have used a word for it to be in the text
_OWN_AT_MOST: Final = 6000
_HUB_NEIGHBOURS: Final = 16
_SHARPNESS: Final = 1.1  # of the model's own scale: how fast a reference's say falls off
_DEFAULT_SCALE: Final = 100.0  # CLIP's own, where a model does not say


@dataclass(frozen=True)
class Evidence:
    """What the references say of n pictures.

    `hubness` (n,) is the mean cosine to the nearest references; `weights` (m, n) say how much each
    of m references has to say of a picture, and sum to one.
    """

    hubness: NDArray[np.float32]
    weights: NDArray[np.float32] = field(repr=False)

    @classmethod
    def from_cosines(cls, cosines: NDArray[np.float32], sharpness: float) -> Evidence:
        """Of the (m, n) cosines of m references to n pictures."""
        nearest = min(_HUB_NEIGHBOURS, len(cosines))
        hubness = np.partition(cosines, -nearest, axis=0)[-nearest:].mean(0)
        weights = cosines - cosines.max(0)
        weights *= sharpness  # in place: fresh memory for each step would take longer than the step
        np.exp(weights, out=weights)
        weights /= weights.sum(0)
        return cls(hubness, weights)


class Reference:
    """The reference texts of a model: m embeddings, and who said which word."""

    def __init__(self, embeddings: Embeddings, text: str, sharpness: float):
        self.embeddings, self.sharpness = embeddings, sharpness
        self._text = text
        self._found: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    @classmethod
    def open(cls, folder: ModelFolder) -> Reference | None:
        """Read a model folder's references; None where it has none. Raises `ModelError`."""
        path = folder.path / EMBEDDINGS
        if not path.is_file():
            return None
        try:
            text = (folder.path / TEXTS).read_text(encoding="utf-8")
            embeddings = np.load(path).astype(np.float32)
        except (OSError, ValueError, EOFError) as error:
            raise ModelError(
                f"{path} or {TEXTS} cannot be read: {error}; {_anew(folder)}"
            ) from error
        if embeddings.shape != (text.count("\n"), folder.spec.dim):
            raise ModelError(f"{path} does not fit {TEXTS} or the model; {_anew(folder)}")
        scale = float(folder.card.get("logit_scale", _DEFAULT_SCALE))
        return cls(embeddings, text, _SHARPNESS * scale)

    def knows(self, word: str) -> bool:
        """Whether any reference has this one of `keywords`."""
        return self._sayings(word)[0].size > 0

    def _sayings(self, word: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The references that have a word, and the share of people who said it."""
        if word not in self._found:
            # Stemming the whole vocabulary would take longer than the query.
            # The stem of `lying` is `lie`; otherwise two letters stay.
            first, second = re.escape(word[:1]), f"[{word[1]}y]" if word[1:] else ""
            # To begin with a letter, and not with what may stand before it, is ten times as fast.
            alike = re.compile(rf"({first}(?<!\S{first}){second}[a-z-]*):([\d.]+)")
            found = list(alike.finditer(self._text))
            same_stem = {form for form in {m[1] for m in found} if keywords(form) == [word]}
            same = [m for m in found if m[1] in same_stem]
            places = np.searchsorted(self._line_starts, [m.start() for m in same], "right") - 1
            self._found[word] = places, np.array([float(m[2]) for m in same], np.float32)
        return self._found[word]

    @cached_property
    def _line_starts(self) -> NDArray[np.int64]:
        ends = [m.end() for m in re.finditer("\n", self._text)]
        return np.array([0, *ends[:-1]], np.int64)

    def beside(self, images: Embeddings) -> Evidence:
        """What the references say of (n, dim) image embeddings."""
        # Those of one picture lie together in memory, as the steps over them want it.
        return Evidence.from_cosines((images @ self.embeddings.T).T, self.sharpness)

    def share_that_says(self, word: str, evidence: Evidence) -> NDArray[np.float32]:
        """(n,) in [0, 1]: of the people who described such pictures, how many said the word."""
        places, shares = self._sayings(word)
        return np.asarray(shares @ evidence.weights[places], np.float32)


def describe(descriptions: Iterable[Sequence[str]]) -> list[str]:
    """The line of `reference.txt` for each photograph: its words, each with the share who said it.

    `descriptions` are the captions that several people gave one photograph.
    """
    photographs = []
    common: dict[str, Counter[str]] = {}
    for captions in descriptions:
        said = [forms(caption) for caption in captions]
        photographs.append((len(said), Counter(stem for each in said for stem in each)))
        for stem, form in (pair for each in said for pair in each.items()):
            common.setdefault(stem, Counter())[form] += 1
    word = {stem: counts.most_common(1)[0][0] for stem, counts in common.items()}
    return [
        " ".join(f"{word[stem]}:{count / people:.2g}" for stem, count in counts.most_common())
        for people, counts in photographs
    ]


def extended(folder: ModelFolder, descriptions: Sequence[Sequence[str]]) -> bytes:
    """A model's reference texts and those of photographs that it was fine-tuned on.

    It takes at most as many of the new ones as a model has by itself, evenly.
    """
    step = -(-len(descriptions) // _OWN_AT_MOST) or 1
    old = (folder.path / TEXTS).read_bytes()
    return old + "".join(f"{line}\n" for line in describe(descriptions[::step])).encode()


def calibrate(
    folder: ModelFolder, encoder: Encoder, progress: Callable[[int, int], None] = lambda *_: None
) -> int:
    """Embed the reference texts with the model and put both into its folder; returns how many.

    A folder without texts of its own takes those of the built-in model. Raises `ModelError` where
    the folder cannot be written.
    """
    own = folder.path / TEXTS
    source = own if own.is_file() else BUILTIN / TEXTS
    lines = source.read_text(encoding="utf-8").split("\n")[:-1]
    texts = [_text(line) for line in lines]
    step = 256
    parts = []
    for at in range(0, len(texts), step):
        parts.append(encoder.encode_texts(texts[at : at + step]))
        progress(min(at + step, len(texts)), len(texts))
    try:
        if source != own:
            own.write_bytes(source.read_bytes())
        np.save(folder.path / EMBEDDINGS, np.concatenate(parts).astype(np.float16))
    except OSError as error:
        raise ModelError(f"cannot write to {folder.path}: {error}") from error
    return len(texts)


def _text(line: str) -> str:
    """The words that more than one person used, or else the first ones; what the model embeds."""
    said = [(word, float(share)) for word, _, share in (p.rpartition(":") for p in line.split())]
    least = _AGREED - 1e-6
    return " ".join([word for word, share in said if share >= least] or [w for w, _ in said[:3]])


def _anew(folder: ModelFolder) -> str:
    return f"make them anew: searchengine models calibrate {folder.name}"
