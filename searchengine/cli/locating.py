"""`searchengine locate`: a picture of where in a picture something is."""

from __future__ import annotations

import io
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from searchengine.cli.evaluating import load_encoder
from searchengine.cli.options import device_option, json_option, model_option
from searchengine.cli.output import echo_json, on_one_line
from searchengine.errors import ImageError, SearchEngineError

if TYPE_CHECKING:
    import PIL.Image

    from searchengine.evaluation.locate import Box, Location
    from searchengine.images import Picture
    from searchengine.types import Encoder

# From cold to hot, each lighter than the one before.
_COLOURS = (
    (10, 5, 30),
    (90, 15, 110),
    (175, 40, 90),
    (235, 100, 45),
    (250, 180, 50),
    (255, 250, 190),
)
_VEIL = (0.25, 0.6)  # how much of the picture the colours hide where it is cold, and hot


@click.command()
@click.argument("image")
@click.argument("text")
@click.option(
    "--out",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Picture to write.  [default: IMAGE-TEXT.png in the current folder]",
)
@model_option
@device_option("auto")
@json_option
def locate(image: str, text: str, out: Path | None, model: str, device: str, as_json: bool) -> None:
    """Find where IMAGE shows what TEXT says.

    Writes a copy of the picture with a heat map and a box over it; prints the box (left, top,
    right and bottom in pixels of the picture) and the cosine of the text and of what is in it.
    There is always a place that fits best, so a box alone does not say that the thing is there.
    """
    from searchengine.evaluation.locate import locate as find

    photo = Path(os.path.expanduser(image))  # leaves "~nobody" as it is
    encoder = load_encoder(model, device)
    picture = _read(photo, encoder)
    out = _free_name(photo, text, out)
    found = find(encoder, picture.image, text)
    _write(out, _drawn(picture.image, found))
    box = _on_the_full_picture(found.box, picture)
    if as_json:
        echo_json(
            {
                "query": text,
                "path": os.path.abspath(photo),
                "box": box,
                "score": round(found.score, 6),
                "picture": os.path.abspath(out),
            }
        )
        return
    click.echo("box    left {}, top {}, right {}, bottom {}".format(*box))
    click.echo(f"score  {found.score:.3f}")
    click.echo(f"wrote  {on_one_line(str(out))}")


def _free_name(photo: Path, text: str, out: Path | None) -> Path:
    """The file to write, which is none that exists and by default not beside the photograph."""
    if out is None:
        words = re.sub(r"\W+", "-", text.lower()).strip("-")[:40] or "found"
        out = Path(f"{photo.stem[:60]}-{words}.png")
        if os.path.realpath(".") == os.path.realpath(photo.parent):
            raise SearchEngineError(
                f"{out} would lie among your pictures; name a file to write with --out"
            )
    out = Path(os.path.expanduser(out))
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"{out} must end in .png", param_hint="--out")
    if os.path.lexists(out):
        raise SearchEngineError(f"{out} is already there; name another file with --out")
    return out


def _read(photo: Path, encoder: Encoder) -> Picture:
    """The picture, large enough for windows of a quarter of it to fill what the encoder takes."""
    from searchengine import images

    try:
        return images.read(str(photo), min_side=2 * min(encoder.pixel_shape[1:]))
    except ImageError as error:
        raise ImageError(f"cannot use {photo}: {error}") from error


def _on_the_full_picture(box: Box, picture: Picture) -> list[int]:
    """The box in pixels of the picture as stored, of which a reduced copy was searched."""
    wide = picture.info.width / picture.image.width
    high = picture.info.height / picture.image.height
    left, top, right, bottom = box
    return [
        math.floor(left * wide),
        math.floor(top * high),
        min(picture.info.width, math.ceil(right * wide)),
        min(picture.info.height, math.ceil(bottom * high)),
    ]


def _drawn(image: PIL.Image.Image, found: Location) -> PIL.Image.Image:
    """The picture under its heat map, with the box."""
    import numpy as np
    from PIL import Image, ImageDraw

    levels, stops = np.linspace(0, 1, 256), np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(levels, stops, values) for values in zip(*_COLOURS, strict=True)]
    palette = np.stack(channels, axis=1).astype(np.uint8)
    heat = (255 * found.heat).astype(np.uint8)
    veil = (255 * np.interp(levels, (0, 1), _VEIL)).astype(np.uint8)
    drawn = Image.composite(Image.fromarray(palette[heat]), image, Image.fromarray(veil[heat]))
    left, top, right, bottom = found.box
    line = max(1, round(min(image.size) / 200))
    pen = ImageDraw.Draw(drawn)
    corners = (left, top, right - 1, bottom - 1)
    pen.rectangle(corners, outline="black", width=3 * line)  # seen on any ground
    inner = [corner + line * sign for corner, sign in zip(corners, (1, 1, -1, -1), strict=True)]
    if inner[0] <= inner[2] and inner[1] <= inner[3]:
        pen.rectangle(inner, outline="white", width=line)
    return drawn


def _write(out: Path, drawn: PIL.Image.Image) -> None:
    content = io.BytesIO()
    drawn.save(content, "PNG")
    try:
        with out.open("xb") as file:  # never over a file that came meanwhile
            file.write(content.getbuffer())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SearchEngineError(f"cannot write {out}: {reason}; name another file") from error
