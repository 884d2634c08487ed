"""What `searchengine evaluate` tells people: its figures, and what it could not count in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from searchengine.cli.output import on_one_line
from searchengine.cli.pairs import say_skipped

if TYPE_CHECKING:
    from searchengine.evaluation.embedding import Broken
    from searchengine.evaluation.probe import ProbeAccuracy
    from searchengine.evaluation.recall import RetrievalRecall
    from searchengine.evaluation.zeroshot import ZeroShotAccuracy

_LISTED = 10  # things of a kind that are named; JSON has them all


def say_what_is_missing(skipped: Mapping[str, int], broken: Sequence[Broken]) -> None:
    """Say on stderr what was skipped, and which pictures cannot be read."""
    say_skipped(skipped)
    if broken:
        click.echo(f"pictures that cannot be read: {len(broken)}", err=True)
    for each in broken[:_LISTED]:
        click.echo(f"  {on_one_line(each.name)}: {each.reason}", err=True)
    if len(broken) > _LISTED:
        click.echo(f"  and {len(broken) - _LISTED} more; --json lists them all", err=True)


def say_shared_names(names: Sequence[str]) -> None:
    """Warn of classes that are called the same."""
    for name, count in Counter(names).items():
        if count > 1:
            click.echo(
                f"{count} classes are called {on_one_line(name)}: no text can tell them apart; "
                "name them with --classnames",
                err=True,
            )


def say_left_out(classes: Sequence[str]) -> None:
    """Say on stderr which classes a probe has no use for."""
    if not classes:
        return
    named = ", ".join(on_one_line(key) for key in classes[:_LISTED])
    more = f" and {len(classes) - _LISTED} more" if len(classes) > _LISTED else ""
    click.echo(f"left out for too few pictures to train and measure: {named}{more}", err=True)


def show_recall(found: RetrievalRecall) -> None:
    """Print both directions as a table."""
    click.echo("                  R@1     R@5    R@10  median rank")
    rows = {"text to image": found.text_to_image, "image to text": found.image_to_text}
    for name, each in rows.items():
        figures = "".join(f"{percent:8.2f}" for percent in each.at.values())
        click.echo(f"{name}{figures}  {each.median_rank:11.1f}")
    click.echo(f"{found.images} pictures, {found.captions} captions")


def show_zeroshot(found: ZeroShotAccuracy) -> None:
    """Print the accuracies, and a line for each class."""
    click.echo(
        f"top-1 {found.top1:.2f} %, top-5 {found.top5:.2f} %, mean per class "
        f"{found.mean_per_class:.2f} % ({found.images} pictures, {len(found.names)} classes)"
    )
    rows = found.per_class()
    width = min(40, max(len("class"), *(len(each.name) for each in rows)))
    click.echo(f"\npictures   top-1  {'class':{width}}  most often taken for")
    for each in rows:
        name, other = on_one_line(each.name), on_one_line(each.confused_with or "-")
        click.echo(f"{each.images:8}  {each.top1:6.2f}  {name:{width}}  {other}")


def show_probe(found: ProbeAccuracy) -> None:
    """Print the accuracy, what it rests on, and a line for each few-shot setting."""
    click.echo(
        f"accuracy {found.accuracy:.2f} %, mean per class {found.mean_per_class:.2f} % "
        f"({found.classes} classes, C = {found.c:.3g})"
    )
    click.echo(
        f"{len(found.split.train)} pictures to train, {len(found.split.validation)} to choose C "
        f"(then trained on too), {len(found.split.test)} measured on"
    )
    if found.few_shot:
        click.echo("\nshots  accuracy    std  classes with fewer pictures")
    for each in found.few_shot:
        figures = each.as_json()
        click.echo(f"{each.shots:5}  {figures['mean']:8.2f}  {figures['std']:5.2f}  {each.short}")
