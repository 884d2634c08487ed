"""`searchengine models`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from searchengine.cli.options import json_option
from searchengine.cli.output import echo_json
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.encoders import ModelFolder


@click.group()
def models() -> None:
    """List, show, fetch, build and export models."""


@models.command("list")
@click.option("--all", "every", is_flag=True, help="Also every pair that `models pull` knows.")
@json_option
def list_models(every: bool, as_json: bool) -> None:
    """List the models on this machine."""
    from searchengine import encoders

    for folder in encoders.available():
        facts = _facts(folder)
        if as_json:
            echo_json(facts)
        else:
            click.echo(f"{facts['name']}  {facts['dim']} dimensions, {facts['megabytes']} MB")
    if every:
        encoders.require_torch("models list --all")
        from searchengine.encoders.export import known_pairs

        for name in known_pairs():
            echo_json({"name": name}) if as_json else click.echo(name)


@models.command()
@click.argument("name", default="builtin")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a model's facts: licence, provenance, size, fingerprint."""
    from searchengine import encoders

    facts = _facts(encoders.find(name))
    if as_json:
        echo_json(facts)
        return
    for key, value in facts.items():
        click.echo(f"{key:12} {value}")


@models.command()
@click.argument("name", metavar="ARCH/PRETRAINED")
def pull(name: str) -> None:
    """Fetch an open_clip model, such as ViT-B-32/laion2b_s34b_b79k, and keep it as a folder."""
    from searchengine import encoders

    encoders.require_torch("models pull")
    from searchengine.encoders.export import pull as fetch

    click.echo(f"fetching {name}; a large model takes minutes", err=True)
    folder = fetch(name)
    click.echo(f"{folder.spec.name} is in {folder.path}")
    click.echo(f"licence: {folder.card.get('licence')}", err=True)
    _calibrate(folder)


@models.command()
@click.argument("name", default="builtin")
def calibrate(name: str) -> None:
    """Embed a model's reference texts, by which hits are strong, likely or weak."""
    from searchengine import encoders

    _calibrate(encoders.find(name))


def _calibrate(folder: ModelFolder) -> None:
    from searchengine import encoders
    from searchengine.encoders.reference import calibrate as embed_references

    with progress("texts", quiet=False) as watch:
        count = embed_references(folder, encoders.load(folder, "cpu"), watch)
    click.echo(f"embedded {count} reference texts in {folder.path}", err=True)


@models.command()
@click.option(
    "--image-encoder",
    required=True,
    metavar="timm:NAME",
    help="A timm model such as timm:resnet50, or a folder with one (timm:./FOLDER).",
)
@click.option(
    "--text-encoder",
    required=True,
    metavar="hf:NAME",
    help="A Hugging Face model such as hf:distilbert-base-uncased, or its folder (hf:./FOLDER).",
)
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The model folder to write; it must not exist.",
)
@click.option(
    "--dim",
    default=256,
    show_default=True,
    type=click.IntRange(min=1),
    help="Dimensions of the embeddings.",
)
@click.option(
    "--head",
    default="mlp",
    show_default=True,
    type=click.Choice(["mlp", "linear"]),
    help="The projection after each encoder: two layers with a skip connection, or one.",
)
@click.option(
    "--pooler",
    default="mean",
    show_default=True,
    type=click.Choice(["mean", "cls"]),
    help="A text's vector before the head: the mean of its tokens, or its first token.",
)
@click.option(
    "--context-length",
    type=click.IntRange(min=1),
    show_default="64, or what the text encoder takes",
    help="Tokens of a text at most.",
)
@click.option(
    "--pretrained/--no-pretrained",
    default=True,
    show_default=True,
    help="Start from the encoders' weights, or from random ones.",
)
@click.option(
    "--image-weights",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint of the image encoder, in place of the hub's.",
)
def build(image_encoder: str, text_encoder: str, out: Path, **settings: Any) -> None:
    """Make a model of any image encoder and any text encoder, to be fine-tuned."""
    from searchengine import encoders

    encoders.require_torch("models build")
    from searchengine.encoders.build import BuildSettings, build_model

    if settings["pretrained"]:
        click.echo("pretrained encoders are fetched where they are new", err=True)
    folder = build_model(image_encoder, text_encoder, out.expanduser(), BuildSettings(**settings))
    click.echo(f"wrote {folder.path}")
    click.echo(f"licence: {folder.card.get('licence')}", err=True)
    click.echo(
        "its heads are untrained; next: searchengine finetune PAIRS --images DIR "
        f"--model {shlex.quote(str(folder.path))} --out FOLDER",
        err=True,
    )


@models.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path) -> None:
    """Make the ONNX graphs of an open_clip model folder, so that it runs without torch."""
    from searchengine import encoders

    encoders.require_torch("models export")
    from searchengine.encoders.export import export as make_graphs

    click.echo(f"wrote the graphs of {make_graphs(folder).path}")


def _facts(folder: ModelFolder) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in folder.path.iterdir() if file.is_file())
    return {
        "name": folder.spec.name,
        "dim": folder.spec.dim,
        "licence": folder.card.get("licence", "unknown"),
        "provenance": folder.card.get("provenance", "unknown"),
        "megabytes": round(size / 1e6, 1),
        "fingerprint": folder.spec.fingerprint,
        "path": str(folder.path),
    }
