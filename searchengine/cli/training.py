"""How far fine-tuning has come: steps, epochs, and points on the way of WiSE-FT."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from searchengine.finetune.trainer import Step
    from searchengine.finetune.wise_ft import Mixture

_LOG_SECONDS = 30.0


@contextmanager
def draw_steps(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """A bar with loss, learning rate and speed; in a log, a line now and then."""
    if quiet:
        yield lambda step: None
        return
    if not sys.stderr.isatty():
        yield _log_steps()
        return
    from tqdm import tqdm

    with tqdm(unit=" step", dynamic_ncols=True) as bar:

        def draw(step: Step) -> None:
            bar.total = step.total
            speed = f"{step.images_per_second:.0f} images/s"
            bar.set_postfix_str(
                f"loss {step.loss:.3f}, rate {step.rate:.1e}, {speed}", refresh=False
            )
            bar.update(step.done - bar.n)

        yield draw


def _log_steps() -> Callable[[Step], None]:
    started = reported = time.monotonic()

    def line(step: Step) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported < _LOG_SECONDS:
            return
        reported = now
        click.echo(
            f"step {step.done}/{step.total}, loss {step.loss:.3f}, rate {step.rate:.1e}, "
            f"{step.images_per_second:.0f} images/s, {now - started:.0f} s",
            err=True,
        )

    return line


def say_epoch(row: dict[str, Any]) -> None:
    """Say the losses and the recall after an epoch, on stderr."""
    recall = row["text_to_image"]
    found = ", ".join(f"{name} {recall[name]:.1f}" for name in ("R@1", "R@5", "R@10"))
    click.echo(
        f"epoch {row['epoch']}: loss {row['loss']:.3f}, on validation {row['validation_loss']:.3f}"
        f", text to image {found}",
        err=True,
    )


def say_mixture(mixture: Mixture) -> None:
    """Say the recall of the weights so far on the way from before to after, on stderr."""
    recall = f"text to image R@10 {mixture.domain.text_to_image.at[10]:.1f}"
    if mixture.general:
        recall += f", general {mixture.general.text_to_image.at[10]:.1f}"
    click.echo(f"weights {mixture.alpha:g} of the way: {recall}", err=True)
