"""Pictures to pixels, as open_clip's inference transform does it, without torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchengine.errors import ModelError
from searchengine.types import Pixels

if TYPE_CHECKING:
    import PIL.Image

    from searchengine.encoders.folder import ModelFolder

# The statistics of CLIP's training images, open_clip's default where a configuration has none.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop or pad, scale to [0, 1], normalise; `resize_mode` has open_clip's meaning."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    fill: int

    @classmethod
    def from_config(cls, config: dict[str, Any], image_size: Any = None) -> Preprocess:
        """Read open_clip's `preprocess_cfg`; raises `ModelError` for an unknown mode.

        The image tower's own `image_size`, (height, width) or one number, wins over the
        configuration's `size`, as in open_clip.
        """
        size = image_size or config.get("size") or 224
        height, width = (size, size) if isinstance(size, int) else size
        mode = config.get("resize_mode") or "shortest"
        interpolation = config.get("interpolation") or "bicubic"
        if mode not in ("shortest", "longest", "squash"):
            raise ModelError(f"unknown resize_mode {mode!r} in preprocess_cfg")
        if interpolation not in ("bicubic", "bilinear", "random"):  # random is bicubic here
            raise ModelError(f"unknown interpolation {interpolation!r} in preprocess_cfg")
        mean, std = config.get("mean") or CLIP_MEAN, config.get("std") or CLIP_STD
        fill = config.get("fill_color") or 0
        return cls(height, width, tuple(mean), tuple(std), interpolation, mode, fill)

    @classmethod
    def from_folder(cls, folder: ModelFolder) -> Preprocess:
        """How a model folder wants its pictures; raises `ModelError`."""
        image_size = folder.config["model_cfg"]["vision_cfg"].get("image_size")
        return cls.from_config(folder.config.get("preprocess_cfg") or {}, image_size)

    def __call__(self, image: PIL.Image.Image) -> Pixels:
        """An RGB picture as (3, height, width) float32."""
        array = np.asarray(self.fit(image), dtype=np.float32)
        scale = 1 / (255 * np.asarray(self.std, np.float32))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray((array * scale - shift).transpose(2, 0, 1))

    def fit(self, image: PIL.Image.Image) -> PIL.Image.Image:
        """An RGB picture at the size that the encoder takes, before it is scaled to floats."""
        from PIL import Image, ImageOps

        # open_clip's resize to the shortest side of a target that is not square is always bicubic.
        is_plain = self.resize_mode != "shortest" or self.width == self.height
        bilinear = self.interpolation == "bilinear" and is_plain
        filter_ = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        if self.resize_mode == "squash":
            return image.resize((self.width, self.height), filter_)
        resized = image.resize(self._scaled(image.size), filter_)
        if self.resize_mode == "longest":
            left, top = (self.width - resized.width) // 2, (self.height - resized.height) // 2
            right, bottom = self.width - resized.width - left, self.height - resized.height - top
            return ImageOps.expand(resized, (left, top, right, bottom), (self.fill,) * 3)
        left = round((resized.width - self.width) / 2)
        top = round((resized.height - self.height) / 2)
        return resized.crop((left, top, left + self.width, top + self.height))

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        if self.resize_mode == "shortest" and self.width == self.height:
            # torchvision rounds the longer side down, the other modes round to nearest.
            if width <= height:
                return self.width, max(self.height, int(self.width * height / width))
            return max(self.width, int(self.height * width / height)), self.height
        pick = max if self.resize_mode == "longest" else min
        ratio = pick(height / self.height, width / self.width)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
