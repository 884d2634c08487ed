"""Picture files: find them below a folder, and read them as the eye sees them."""

from searchengine.images.batches import read_batches
from searchengine.images.decode import Picture, decode, decode_named, digest, read
from searchengine.images.formats import EXTENSIONS
from searchengine.images.perceptual import perceptual_hash
from searchengine.images.reading import Content, read_bytes_unless_known, read_unless_known
from searchengine.images.walk import UnreadableFolder, compile_patterns, walk

__all__ = [
    "EXTENSIONS",
    "Content",
    "Picture",
    "UnreadableFolder",
    "compile_patterns",
    "decode",
    "decode_named",
    "digest",
    "perceptual_hash",
    "read",
    "read_batches",
    "read_bytes_unless_known",
    "read_unless_known",
    "walk",
]
