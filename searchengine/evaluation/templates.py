"""Prompt templates, and class names to one embedding each.

A class name alone is seldom what a caption looks like. Put into several templates and averaged as
embeddings, it classifies better (CLIP, arXiv 2103.00020, section 3.1.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from searchengine.errors import EvaluationError
from searchengine.types import Embeddings, Encoder, Progress

_SUBJECTS: Final = (
    *("a {}", "the {}", "one {}", "many {}", "my {}", "a small {}", "a large {}"),
    *("a clean {}", "a dirty {}", "a nice {}", "a strange {}", "a cool {}"),
)
_MEDIA: Final = (
    *("sketch", "drawing", "painting", "doodle", "sculpture", "rendering", "cartoon"),
    *("tattoo", "origami", "embroidery", "plastic model", "plush toy"),
)
_QUALITIES: Final = (
    *("bad", "good", "blurry", "bright", "dark", "black and white", "close-up", "cropped"),
    *("low resolution", "pixelated", "jpeg corrupted"),
)

TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "plain": ("{}",),
    "photo": ("a photo of a {}.",),
    "simple": (
        "a photo of a {}.",
        "a photo of the {}.",
        "a picture of {}.",
        "a close-up of a {}.",
        "a {} in the background.",
        "a large {} in the middle of the picture.",
        "many {} together.",
    ),
    "imagenet": (
        *(f"a photo of {subject}." for subject in _SUBJECTS),
        *(f"a {quality} photo of a {{}}." for quality in _QUALITIES),
        *(f"a {quality} photo of the {{}}." for quality in _QUALITIES),
        *(f"a {medium} of a {{}}." for medium in _MEDIA),
        *(f"a {medium} of the {{}}." for medium in _MEDIA),
        "a {} in a video game.",
        "the {} in a video game.",
        "a photo of a {} that is hard to see.",
        "a photo of a hidden {}.",
        "graffiti of a {}.",
        "itap of a {}.",  # "I took a picture": photographs on the web are captioned so
    ),
}
"""Sets of templates by name; a class name goes in the place of `{}`."""

_TEXTS = 4096  # encoded together at most, unless one name has more templates


def check_templates(templates: Sequence[str]) -> None:
    """Raise `EvaluationError` for a template without a place for the class name, or for none."""
    if not templates:
        raise EvaluationError("there is no template; give one such as 'a photo of a {}.'")
    for template in templates:
        if "{}" not in template:
            raise EvaluationError(
                f"the template {template!r} has no {{}} in the place of the class name; "
                "write it such as 'a photo of a {}.'"
            )


def embed_classes(
    encoder: Encoder,
    names: Sequence[str],
    templates: Sequence[str],
    progress: Progress = lambda done, total: None,
) -> Embeddings:
    """One embedding a class name, (len(names), dim): normalised mean over the templates.

    Progress counts names. Raises `EvaluationError` for a template without `{}`.
    """
    check_templates(templates)
    together = max(1, _TEXTS // len(templates))
    classes = np.empty((len(names), encoder.spec.dim), np.float32)
    for start in range(0, len(names), together):
        part = names[start : start + together]
        texts = [template.replace("{}", name) for name in part for template in templates]
        shape = (len(part), len(templates), encoder.spec.dim)
        means = encoder.encode_texts(texts).reshape(shape).mean(axis=1)
        classes[start : start + len(part)] = means / np.linalg.norm(means, axis=1, keepdims=True)
        progress(start + len(part), len(names))
    return classes
