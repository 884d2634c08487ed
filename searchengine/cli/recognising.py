"""`searchengine classify` and `searchengine describe`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

import click

from searchengine.cli.evaluating import chosen_templates, load_encoder, template_options
from searchengine.cli.options import device_option, json_option, model_option
from searchengine.cli.output import echo_json, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.evaluation.recognition import Label

_MANY = 1000  # texts that take long enough to say how far it is


class _Image(NamedTuple):
    """A picture named on the command line."""

    name: str
    path: str
    span: None = None


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--labels", required=True, metavar="A,B,...|FILE", help="Labels, or a file of one a line."
)
@template_options
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), help="How many labels."
)
@model_option
@device_option("cpu")
@json_option
@click.pass_context
def classify(
    ctx: click.Context,
    images: tuple[str, ...],
    labels: str,
    template_set: str | None,
    own_templates: tuple[str, ...],
    top: int,
    model: str,
    device: str,
    as_json: bool,
) -> None:
    """Say which of some labels each IMAGE shows, and how probably.

    The probabilities are a softmax over the cosines times 100, or times the `logit_scale` in the
    model's model.json; they add up to 1 over the labels given, whatever the picture shows.
    """
    from searchengine import encoders
    from searchengine.evaluation.embedding import embed_batches
    from searchengine.evaluation.recognition import best_labels, check_labels, scale_of
    from searchengine.evaluation.templates import embed_classes

    names = _read_labels(labels)
    check_labels(names)
    templates = chosen_templates(template_set, own_templates)
    scale = scale_of(encoders.find(model).card)
    encoder = load_encoder(model, device)
    with progress("labels", quiet=len(names) * len(templates) < _MANY) as report_progress:
        classes = embed_classes(encoder, names, templates, report_progress)
    failed = False
    for batch in embed_batches(encoder, [_Image(path, path) for path in images]):
        found = best_labels(batch.embeddings, classes, names, scale, top)
        for number, best in zip(batch.kept, found, strict=True):
            _show_labels(images[number], best, as_json)
        for each in batch.broken:
            failed = True
            click.echo(f"{on_one_line(each.name)}: {each.reason}", err=True)
    if failed:
        ctx.exit(1)


@click.command()
@click.argument("image")
@click.option(
    "--captions",
    required=True,
    metavar="FILE",
    type=click.File("r", encoding="utf-8-sig", errors="replace"),
    help="One text a line (- is stdin).",
)
@click.option(
    "-k", default=5, show_default=True, type=click.IntRange(min=1), help="How many texts at most."
)
@model_option
@device_option("cpu")
@json_option
def describe(image: str, captions: TextIO, k: int, model: str, device: str, as_json: bool) -> None:
    """Find the texts that describe IMAGE, out of a file of texts."""
    from searchengine.errors import EvaluationError
    from searchengine.evaluation.recognition import best_texts, distinct
    from searchengine.query import embed_example

    texts = distinct(captions)
    if not texts:
        raise EvaluationError(f"{captions.name} holds no text; write one a line")
    encoder = load_encoder(model, device)
    picture = embed_example(encoder, image)
    with progress("texts", quiet=len(texts) < _MANY) as report_progress:
        found = best_texts(encoder, picture, texts, k, report_progress)
    if as_json:
        ranked = [
            {"rank": rank, "caption": text, "score": round(score, 6)}
            for rank, (text, score) in enumerate(found, 1)
        ]
        echo_json({"image": image, "captions": ranked})
        return
    for rank, (text, score) in enumerate(found, 1):
        click.echo(f"{rank:>4}  {score:6.3f}  {on_one_line(text)}")


def _read_labels(labels: str) -> list[str]:
    """The labels in a file, or those between commas."""
    from searchengine.errors import EvaluationError
    from searchengine.evaluation.recognition import distinct

    if not os.path.isfile(labels):
        return distinct(labels.split(","))
    try:
        content = Path(labels).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise EvaluationError(f"cannot read {labels}: {error.strerror}") from error
    return distinct(content.splitlines())


def _show_labels(image: str, labels: Sequence[Label], as_json: bool) -> None:
    if as_json:
        ranked = [
            {
                "rank": rank,
                "label": label.name,
                "probability": round(label.probability, 6),
                "score": round(label.score, 6),
            }
            for rank, label in enumerate(labels, 1)
        ]
        echo_json({"image": image, "labels": ranked})
        return
    click.echo(on_one_line(image))
    for label in labels:
        click.echo(f"  {label.probability:6.3f}  {on_one_line(label.name)}")
