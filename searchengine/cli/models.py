"""`searchengine models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from searchengine.cli.options import json_option
from searchengine.cli.output import echo_json

if TYPE_CHECKING:
    from searchengine.encoders import ModelFolder


@click.group()
def models() -> None:
    """List, show, fetch and export models."""


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
