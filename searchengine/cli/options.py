"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def default_index() -> str:
    """`indexes/default` in the user's data folder."""
    import platformdirs

    data = Path(platformdirs.user_data_dir("searchengine", appauthor=False))
    return str(data / "indexes" / "default")


def index_option(command: Command) -> Command:
    """`--index`, the folder of the index."""
    return click.option(
        "--index",
        "index_folder",
        envvar="SEARCHENGINE_INDEX",
        default=default_index,
        show_default="indexes/default in the user's data folder",
        show_envvar=True,
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        callback=lambda _context, _option, folder: folder.expanduser(),
        help="Folder of the index.",
    )(command)


def device_option(default: str) -> Callable[[Command], Command]:
    """`--device`, what the encoder runs on."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default=default,
        show_default=True,
        help="What the encoder runs on; auto takes a GPU when there is one.",
    )


model_option = click.option(
    "--model",
    envvar="SEARCHENGINE_MODEL",
    default="builtin",
    show_default=True,
    show_envvar=True,
    metavar="NAME",
    help="Model: builtin, ARCH/PRETRAINED, or a model folder.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object a line, and nothing else."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress.")
