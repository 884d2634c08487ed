"""The words of the engine: array aliases and small records. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import PIL.Image

Embeddings: TypeAlias = NDArray[np.float32]
"""(n, dim) float32, rows L2-normalised, C-contiguous."""

Pixels: TypeAlias = NDArray[np.float32]
"""(3, H, W) or (n, 3, H, W) float32: channels scaled and normalised as the encoder wants them."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (images done, images to do) as a run goes on."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Which encoder made a vector: its name, the fingerprint of its folder, its dimension."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Which files of a root folder belong to the index."""

    exclude: tuple[str, ...] = ()
    """Patterns with gitignore syntax, relative to the folder: what does not."""
    include_hidden: bool = False


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file on disk: its root folder, its path relative to it (POSIX separators), its state."""

    root: str
    path: str
    size: int
    mtime_ns: int

    @property
    def absolute(self) -> str:
        """The absolute path; undecodable bytes of the name are kept as surrogate escapes."""
        return os.path.join(self.root, self.path)


BLANK_PHASH: Final = 0
"""In place of the perceptual hash of a blank picture; no other picture has it."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a picture says of itself: size in pixels as displayed, format, and EXIF facts.

    `taken_at` is ISO 8601, `2024-07-01T18:30:00`, with the offset (`+02:00`) when EXIF has it;
    `latitude` and `longitude` are decimal degrees, north and east positive.
    """

    width: int
    height: int
    format: str
    taken_at: str | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    phash: int | None = None
    """Perceptual hash, 64 bits as a signed integer; `BLANK_PHASH` for a picture that says too
    little to have one; None where it has not been computed."""


class Facts(NamedTuple):
    """What a filter may ask of an image and what never changes while its content stays the same.

    A store that filters by itself keeps a copy of these. Of what can change besides, such as the
    folder or the captions, only the catalog is asked.
    """

    size: int
    width: int
    height: int
    format: str
    taken_at: str | None = None
    camera: str | None = None
    lens: str | None = None


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """An image the catalog holds."""

    id: int
    file: ImageFile
    info: ImageInfo

    @property
    def path(self) -> str:
        """The absolute path."""
        return self.file.absolute


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read, in the state it had then, and why."""

    file: ImageFile
    reason: str


class Task(NamedTuple):
    """A file to read, and the id of the image that the catalog holds for its path."""

    file: ImageFile
    id: int | None = None


class Reading(NamedTuple):
    """What became of a task.

    There is a `reason` why the file could not be read; or its content is new, with `info` and an
    `embedding`, (dim,) float32; or only the `digest` is there, as the content is known already.
    """

    task: Task
    digest: bytes = b""
    info: ImageInfo | None = None
    embedding: NDArray[np.float32] | None = None
    reason: str = ""


class KnownContent(Protocol):
    """Which contents need no embedding, as they have one. Safe in many threads."""

    def holds(self, size: int, digest: bytes) -> bool:
        """Whether an image that the catalog holds has this content, of `size` bytes."""
        ...

    def among(self, digests: Iterable[bytes]) -> set[bytes]:
        """Those of the contents that have an embedding, committed or about to be."""
        ...

    def of_sizes(self, sizes: Set[int]) -> dict[int, list[bytes]]:
        """Size in bytes -> digests of all contents of that size that the catalog holds."""
        ...


class NothingKnown:
    """`KnownContent` where every content is to be embedded."""

    def holds(self, size: int, digest: bytes) -> bool:
        """Never."""
        return False

    def among(self, digests: Iterable[bytes]) -> set[bytes]:
        """None of them."""
        return set()

    def of_sizes(self, sizes: Set[int]) -> dict[int, list[bytes]]:
        """None."""
        return {}


Relevance: TypeAlias = Literal["strong", "likely", "weak"]
"""How far a hit is to be trusted; a query whose hits are all weak has no good match."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An image found, with its cosine to the query, in [-1, 1]."""

    image: IndexedImage
    score: float
    relevance: Relevance | None = None
    """None where it cannot be told, as for an example picture."""
    matched: tuple[str, ...] = ()
    """What matched: `picture`, `file name`, `folder`, `caption`."""
    copies: tuple[IndexedImage, ...] = ()
    """Other copies of the same picture that this hit stands for."""

    @property
    def id(self) -> int:
        """The image's number in the index."""
        return self.image.id

    @property
    def path(self) -> str:
        """The image's absolute path."""
        return self.image.path


@dataclass(frozen=True, slots=True)
class WordMatch:
    """An image whose texts hold the words looked for; `fields` say where they are.

    They are `file name`, `folder` and `caption`, in this order.
    """

    id: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facets:
    """How many images of a set there are, and how many of each kind.

    Those without a date count in no month, and those without a camera for none.
    """

    total: int
    months: dict[str, int]
    """`2024-07` -> images, newest first."""
    cameras: dict[str, int]
    """Most images first, like the following."""
    formats: dict[str, int]
    folders: dict[str, int]
    """Absolute path of a root, or of a folder right below one -> images in it and below."""
    placed: int
    """Images that say where they were taken."""
    places: dict[tuple[float, float], int]
    """Middle of a cell of 0.1 degree, latitude and longitude -> images."""


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """A picture and the captions that say what it shows.

    `path` is the picture's file; or, with `span`, a file that holds the picture's bytes at
    (offset, size), such as a tar archive. `name` is what its source calls it.
    """

    name: str
    captions: tuple[str, ...]
    path: str
    span: tuple[int, int] | None = None


class Encoder(Protocol):
    """An image tower and a text tower that share one embedding space."""

    spec: EncoderSpec
    pixel_shape: tuple[int, int, int]
    """(3, H, W) of what `preprocess` gives."""
    batch_size: int
    """How many images a call of `encode_images` should carry to be fast."""

    def preprocess(self, image: PIL.Image.Image) -> Pixels:
        """Turn an RGB picture into the (3, H, W) float32 array that `encode_images` takes."""
        ...

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Encode (n, 3, H, W) float32 pixels as (n, dim) normalised embeddings."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Encode n texts as (n, dim) normalised embeddings."""
        ...
