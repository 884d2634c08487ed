"""A confusion matrix as a picture."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from searchengine.errors import EvaluationError
from searchengine.evaluation.extras import require
from searchengine.evaluation.zeroshot import ZeroShotAccuracy

_NAMED = 50  # classes; the names of more could not be read
_INCHES = 0.28  # a class's row
_LETTERS = 28  # of a name


def require_drawing(path: Path) -> None:
    """Raise `EvaluationError` where `draw_confusion` could not write `path`, before the work."""
    require("matplotlib", "--confusion")
    if path.suffix.lower() != ".png":
        raise EvaluationError(f"the confusion matrix is drawn as PNG; name {path.stem}.png")
    if not path.absolute().parent.is_dir():
        raise EvaluationError(f"cannot write {path}: there is no folder {path.parent}")


def draw_confusion(path: Path, found: ZeroShotAccuracy) -> None:
    """Write the confusion matrix as PNG: a row a class, dark where its pictures were taken for.

    Raises `EvaluationError` when it cannot be written.
    """
    require("matplotlib", "--confusion")
    from matplotlib.figure import Figure

    shares = found.confusion / np.maximum(found.confusion.sum(axis=1, keepdims=True), 1)
    count = len(found.names)
    side = 3 + _INCHES * min(count, _NAMED)
    figure = Figure(figsize=(side + 1, side), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(drawn, label="share of the class", shrink=0.8)
    axes.set(xlabel="taken for", ylabel="class", title=f"top-1 {found.top1:.1f} %")
    if count <= _NAMED:  # a dollar sign in a name is no formula
        names = [_short(name) for name in found.names]
        axes.set_xticks(range(count), names, rotation=90, parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
    try:
        with warnings.catch_warnings():  # of letters that the font lacks
            warnings.simplefilter("ignore", UserWarning)
            figure.savefig(path, format="png")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror}") from error


def _short(name: str) -> str:
    printable = name.encode("utf-8", "replace").decode()
    return printable if len(printable) <= _LETTERS else printable[: _LETTERS - 1] + "…"
