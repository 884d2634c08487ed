"""Which files are pictures, by the extension of their name."""

from importlib.util import find_spec
from typing import Final

PILLOW_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""What the decoder reads; every other Pillow plugin stays off."""

RAW_EXTENSIONS: Final = frozenset(
    ".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw".split()  # noqa: SIM905 - a list to read
)

EXTENSIONS: Final = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .heic .heif .hif .avif".split()  # noqa: SIM905
) | (RAW_EXTENSIONS if find_spec("rawpy") else frozenset())
"""Lower case, with the dot. Camera RAW counts only where `rawpy` is installed."""


def extension(name: str) -> str:
    """The extension of a file name, lower case and with its dot."""
    return name[name.rfind(".") :].lower()
