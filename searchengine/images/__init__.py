"""Picture files: find them below a folder, and read them as the eye sees them."""

from searchengine.images.batches import read_batches
from searchengine.images.decode import Picture, decode, digest, read
from searchengine.images.formats import EXTENSIONS
from searchengine.images.perceptual import perceptual_hash
from searchengine.images.walk import UnreadableFolder, walk

__all__ = [
    "EXTENSIONS",
    "Picture",
    "UnreadableFolder",
    "decode",
    "digest",
    "perceptual_hash",
    "read",
    "read_batches",
    "walk",
]
