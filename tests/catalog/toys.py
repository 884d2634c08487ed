"""A catalog in the hand: pictures of two dimensions, and what is in it at a glance."""

import numpy as np

from searchengine.catalog import Changes, NewImage
from searchengine.types import EncoderSpec, ImageFile, ImageInfo

INFO = ImageInfo(640, 480, "JPEG", "2024-07-01T18:30:00+02:00", "Canon", None, 48.5, -2.25)
ROOT = "/photos"
SPEC = EncoderSpec("toy", "f" * 64, 2)


def picture(path, digest=b"d" * 32, size=10):
    return NewImage(ImageFile(ROOT, path, size, 20), digest, INFO, np.array([0.6, 0.8], np.float32))


def apply(catalog, **changes):
    with catalog.writing() as rows:
        rows.apply(Changes(**changes))


def files(catalog, root=ROOT):
    with catalog.reading() as rows:
        return {path: image_id for path, (image_id, _, _) in rows.files(root).items()}


def failed(catalog):
    with catalog.reading() as rows:
        return {failure.file.path: failure.reason for failure in rows.failures()}
