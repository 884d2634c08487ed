"""What a run leaves for people: the table before and after, the model card, the curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from searchengine.errors import TrainingError
from searchengine.evaluation import extras
from searchengine.evaluation.recall import RetrievalRecall
from searchengine.finetune.settings import Settings
from searchengine.finetune.trainer import Step
from searchengine.finetune.wise_ft import Mixture

Row = tuple[str, RetrievalRecall, RetrievalRecall]
"""What was measured, before, after."""

_COLUMNS = ("R@1", "R@5", "R@10")


def require(module: str, what: str) -> None:
    """Raise `TrainingError`, naming the extra, where `module` is not installed."""
    extras.require(module, what, "finetune", TrainingError)


def before_and_after(rows: Sequence[Row]) -> list[list[str]]:
    """A table of recall in both directions: a header, and a line for each set and direction."""
    table = [["", "images", *(f"{name} before > after" for name in _COLUMNS)]]
    for name, before, after in rows:
        for direction in ("text_to_image", "image_to_text"):
            was, is_now = getattr(before, direction).as_json(), getattr(after, direction).as_json()
            cells = [f"{was[column]:.1f} > {is_now[column]:.1f}" for column in _COLUMNS]
            table.append([f"{name}, {direction.replace('_', ' ')}", str(before.images), *cells])
    return table


def as_lines(table: Sequence[Sequence[str]]) -> list[str]:
    """The table as aligned lines."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]]) + "\n"


def model_card(
    name: str, source: str, settings: Settings, rows: Sequence[Row], chosen: Mixture, images: int
) -> str:
    """The README.md of a fine-tuned model folder."""
    mixed = (
        f"The weights are {chosen.alpha:g} of the way from those before to those after (WiSE-FT, "
        "arXiv 2109.01903).\n\n"
        if chosen.alpha != 1
        else ""
    )
    return (
        f"# {name}\n\n"
        f"{source}, trained on {images} captioned images: {settings.train} of it, loss "
        f"{settings.loss}, batches of {settings.batch_size}, seed {settings.seed}. The settings "
        "are in `settings.json`, every epoch in `metrics.jsonl`, both drawn in `curves.png`.\n\n"
        f"{mixed}Recall in percent. The validation images were not trained on, but the epoch was "
        "chosen by them:\n\n"
        f"{as_markdown(before_and_after(rows))}\n"
        f"The licence and the limits of {source} and of the training images hold for it too.\n"
    )


def draw_curves(metrics: Sequence[dict[str, Any]]) -> bytes:
    """Loss and validation recall over the epochs, as a PNG picture."""
    import matplotlib.figure

    epochs = [row["epoch"] for row in metrics]
    figure = matplotlib.figure.Figure(figsize=(9, 4), layout="constrained")
    losses, recalls = figure.subplots(1, 2)
    losses.plot(epochs, [row["loss"] for row in metrics], marker="o", label="training")
    losses.plot(epochs, [row["validation_loss"] for row in metrics], marker="o", label="validation")
    losses.set_ylabel("loss")
    for column in _COLUMNS:
        values = [row["text_to_image"][column] for row in metrics]
        recalls.plot(epochs, values, marker="o", label=column)
    recalls.set_ylabel("text to image recall on validation, %")
    recalls.set_ylim(bottom=0)
    for axes in (losses, recalls):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


class Scalars:
    """TensorBoard scalars of every step and epoch."""

    def __init__(self, folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def step(self, step: Step) -> None:
        """Loss, learning rate and speed of a step."""
        for name in ("loss", "rate", "images_per_second"):
            self._writer.add_scalar(f"train/{name}", getattr(step, name), step.done)

    def epoch(self, row: dict[str, Any]) -> None:
        """Loss and recall of an epoch."""
        self._writer.add_scalar("validation/loss", row["validation_loss"], row["epoch"])
        for direction in ("text_to_image", "image_to_text"):
            for name, value in row[direction].items():
                self._writer.add_scalar(f"validation/{direction}/{name}", value, row["epoch"])

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
