"""`searchengine evaluate`: recall, zero-shot accuracy and the linear probe of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from searchengine.cli.measurements import (
    say_left_out,
    say_shared_names,
    say_what_is_missing,
    show_probe,
    show_recall,
    show_zeroshot,
)
from searchengine.cli.options import Command, device_option, json_option, model_option
from searchengine.cli.output import echo_json
from searchengine.cli.pairs import read_pairs
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.evaluation.embedding import Broken
    from searchengine.types import Encoder


folder_argument = click.argument("folder", type=click.Path(path_type=Path))


def template_options(command: Command) -> Command:
    """`--templates` and `--template`, how class names become texts."""
    command = click.option(
        "--template",
        "own_templates",
        multiple=True,
        metavar="TEXT",
        help="A template such as 'a photo of a {}.'; may be given several times.",
    )(command)
    return click.option(
        "--templates",
        "template_set",
        type=click.Choice(["plain", "photo", "simple", "imagenet"]),
        help="A set of 1, 1, 7 or 64 templates.  [default: simple, unless --template is given]",
    )(command)


def chosen_templates(template_set: str | None, own_templates: Sequence[str]) -> tuple[str, ...]:
    """The templates that the options of `template_options` name."""
    from searchengine.evaluation.templates import TEMPLATES

    name = template_set or (None if own_templates else "simple")
    return (*(TEMPLATES[name] if name else ()), *own_templates)


def load_encoder(model: str, device: str) -> Encoder:
    """The encoder of a model by its name."""
    from searchengine import encoders

    return encoders.load(encoders.find(model), device)


@click.group()
def evaluate() -> None:
    """Measure a model."""


@evaluate.command()
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option(
    "--images",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder of the pictures that PAIRS names.",
)
@model_option
@device_option("auto")
@json_option
@click.pass_context
def recall(
    ctx: click.Context, pairs: Path, images: Path | None, model: str, device: str, as_json: bool
) -> None:
    """Measure text-to-image and image-to-text recall.

    PAIRS holds pictures and captions in any of the usual forms, or is an index folder with stored
    captions; an index is measured with its own model unless --model is given here.
    """
    from searchengine.evaluation.recall import evaluate_recall

    read = read_pairs(pairs, images)
    if read.model and ctx.get_parameter_source("model") is not ParameterSource.COMMANDLINE:
        model = read.model
    encoder = load_encoder(model, device)
    with progress("pictures and captions", quiet=False) as report_progress:
        found, broken = evaluate_recall(encoder, read.images, report_progress)
    say_what_is_missing(read.skipped, broken)
    if as_json:
        echo_json({**found.as_json(), **_facts(encoder, read.skipped, broken)})
    else:
        show_recall(found)


@evaluate.command()
@folder_argument
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV of image,label or JSON lines, with paths below FOLDER; instead of class folders.",
)
@click.option(
    "--classnames",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV of folder,name: what the classes are called in words.",
)
@template_options
@click.option(
    "--confusion",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the confusion matrix.",
)
@model_option
@device_option("auto")
@json_option
def zeroshot(
    folder: Path,
    labels: Path | None,
    classnames: Path | None,
    template_set: str | None,
    own_templates: tuple[str, ...],
    confusion: Path | None,
    model: str,
    device: str,
    as_json: bool,
) -> None:
    """Measure zero-shot classification of the pictures in FOLDER's class folders.

    A class is called by its folder's name, with underscores and hyphens as spaces.
    """
    from searchengine.evaluation.confusion import draw_confusion, require_drawing
    from searchengine.evaluation.labelled import read_labelled
    from searchengine.evaluation.templates import check_templates
    from searchengine.evaluation.zeroshot import evaluate_zeroshot

    templates = chosen_templates(template_set, own_templates)
    check_templates(templates)
    if confusion is not None:
        require_drawing(confusion)
    labelled = read_labelled(folder, labels, classnames)
    say_shared_names(labelled.names)
    encoder = load_encoder(model, device)
    with progress("classes and pictures", quiet=False) as report_progress:
        found, broken = evaluate_zeroshot(encoder, labelled, templates, report_progress)
    say_what_is_missing(labelled.skipped, broken)
    if as_json:
        echo_json({**found.as_json(), **_facts(encoder, labelled.skipped, broken)})
    else:
        show_zeroshot(found)
    if confusion is not None:
        draw_confusion(confusion, found)
        click.echo(f"wrote {confusion}", err=True)


def _parse_shots(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    parts = value.split(",") if value else []
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,2,4,8,16")
    return tuple(int(part) for part in parts)


@evaluate.command()
@folder_argument
@click.option(
    "--test",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Class folders to measure on, instead of a fifth of FOLDER.",
)
@click.option(
    "--shots",
    default="",
    metavar="N,N,...",
    callback=_parse_shots,
    help="Also measure with that few training pictures a class, such as 1,2,4,8,16.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Another number divides the pictures in another way.",
)
@model_option
@device_option("auto")
@json_option
def probe(
    folder: Path,
    test: Path | None,
    shots: tuple[int, ...],
    seed: int,
    model: str,
    device: str,
    as_json: bool,
) -> None:
    """Measure a linear classifier on the model's frozen embeddings.

    A fifth of the pictures in every class folder of FOLDER is measured on, a fifth chooses the
    classifier's penalty, the rest trains it. Files of the same content count once.
    """
    from searchengine.evaluation.labelled import read_labelled
    from searchengine.evaluation.probe import probe as measure
    from searchengine.evaluation.probe import require_probe
    from searchengine.evaluation.splits import embed_split

    require_probe()
    labelled = read_labelled(folder)
    tested = None if test is None else read_labelled(test)
    skipped = Counter(labelled.skipped) + Counter(tested.skipped if tested else {})
    encoder = load_encoder(model, device)
    with progress("pictures", quiet=False) as report_progress:
        data = embed_split(encoder, labelled, tested, seed, report_progress)
    if data.copies:
        skipped["copies of other files"] = data.copies
    say_what_is_missing(skipped, data.broken)
    say_left_out(data.left_out)
    with progress("classifiers", quiet=False) as report_progress:
        found = measure(data.embeddings, data.labels, data.split, shots, report_progress)
    if as_json:
        facts = _facts(encoder, skipped, data.broken)
        echo_json({**found.as_json(), "left_out": list(data.left_out), **facts})
    else:
        show_probe(found)


def _facts(
    encoder: Encoder, skipped: Mapping[str, int], broken: Sequence[Broken]
) -> dict[str, Any]:
    """What the JSON of every measurement says beside its figures."""
    failures = [{"image": each.name, "reason": each.reason} for each in broken]
    return {"model": encoder.spec.name, "skipped": dict(skipped), "failures": failures}
