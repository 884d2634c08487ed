"""`searchengine finetune`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import Command, device_option, json_option, model_option, quiet_option
from searchengine.cli.output import echo_json, on_one_line
from searchengine.cli.pairs import read_pairs, say_skipped
from searchengine.cli.training import draw_steps, say_epoch, say_mixture
from searchengine.finetune.settings import LOSSES, SCHEDULES, TRAINED, Settings

if TYPE_CHECKING:
    from searchengine.finetune.run import Data, Outcome, Watchers
    from searchengine.finetune.trainer import Step
    from searchengine.finetune.wise_ft import Mixture

path = click.Path(path_type=Path)
rate = click.FloatRange(min=0)


def _parse_wise_ft(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> float | str | None:
    if value in (None, "sweep"):
        return value
    try:
        alpha = float(str(value))
    except ValueError:
        alpha = -1.0
    if not 0 <= alpha <= 1:
        raise click.BadParameter(f"{value!r} is neither a number from 0 to 1 nor sweep")
    return alpha


def _setting(flag: str, **options: Any) -> Callable[[Command], Command]:
    """An option for a field of `Settings`, with its default."""
    default = getattr(Settings, flag.strip("-").replace("-", "_"))
    return click.option(flag, **{"default": default, "show_default": True, **options})


@click.command()
@click.argument("pairs", type=path)
@click.option("--images", metavar="DIR", type=path, help="Folder of the pictures PAIRS names.")
@click.option("--out", metavar="FOLDER", type=path, required=True, help="The new model folder.")
@model_option
@click.option(
    "--validation",
    default="0.1",
    show_default=True,
    metavar="PAIRS|FRACTION",
    help="Captioned images to choose the best epoch by, or a fraction of PAIRS.",
)
@click.option(
    "--general",
    metavar="PAIRS",
    type=path,
    help="Captioned photographs of another kind, to see what is lost on them.",
)
@_setting("--train", type=click.Choice(TRAINED), help="Everything; one tower; heads; or LoRA.")
@_setting("--loss", type=click.Choice(LOSSES), help="Of CLIP, with soft targets, or of SigLIP.")
@_setting("--epochs", type=int, help="Passes over the images.")
@_setting("--batch-size", type=int, help="Images told apart at a time.")
@_setting("--micro-batch", type=int, help="Images in memory at a time; bounds memory.")
@_setting("--captions-per-image", type=int, help="Captions of an image in a batch.")
@_setting(
    "--image-rate",
    type=rate,
    show_default="3e-4 convolutional, 2e-5 transformer",
    help="Learning rate of the image encoder.",
)
@_setting("--text-rate", type=rate, show_default="2e-5", help="Learning rate of the text encoder.")
@_setting("--head-rate", type=rate, help="Learning rate of the projection heads.")
@_setting("--weight-decay", type=rate, help="Of AdamW; not for biases and norms.")
@_setting(
    "--schedule",
    type=click.Choice(SCHEDULES),
    help="Rates fall to zero, or whenever the validation loss stalls.",
)
@_setting("--warm-up", type=float, help="Part of the run with rising rates.")
@_setting("--crop", type=float, help="Smallest part of a picture that a random crop keeps.")
@_setting(
    "--mirror",
    is_flag=True,
    show_default=False,
    help="Mirror every other picture; not where captions say left or right.",
)
@_setting("--patience", type=int, help="Epochs without a better recall; 0: any number.")
@_setting("--lora-rank", type=int, help="Rank of LoRA's additions.")
@_setting("--seed", type=int, help="Another number draws other batches.")
@click.option(
    "--wise-ft",
    metavar="ALPHA|sweep",
    callback=_parse_wise_ft,
    help="Mix the weights before and after; sweep chooses how much, on validation.",
)
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted.")
@click.option("--tensorboard", metavar="DIR", type=path, help="Also write TensorBoard scalars.")
@device_option("auto")
@json_option
@quiet_option
@click.pass_context
def finetune(
    ctx: click.Context,
    /,
    pairs: Path,
    images: Path | None,
    out: Path,
    model: str,
    validation: str,
    general: Path | None,
    wise_ft: float | str | None,
    resume: bool,
    tensorboard: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Adapt a model to captioned images of your own, and see whether it helped.

    PAIRS is a CSV or TSV table (image,caption), Flickr's list, JSON lines, COCO's captions, a
    folder of pictures with .txt files, WebDataset shards, or an index with captions. The new
    model is for `index --model FOLDER`; the pictures are only read. Several processes:
    torchrun --nproc-per-node N -m searchengine finetune ...
    """
    from searchengine import encoders

    encoders.require_torch("finetune")
    from searchengine.encoders.load import choose_device
    from searchengine.finetune.distributed import World
    from searchengine.finetune.run import Run

    settings = Settings(**given)
    device = choose_device(device)
    world = World.join(device)
    is_first = world.rank == 0
    data, skipped = _read(pairs, images, validation, general, settings.seed)
    if is_first:
        say_skipped(skipped)
        _say_data(data)
    run = Run(encoders.find(model), data, out, settings, device, world)
    with _watchers(quiet or not is_first, as_json and is_first, tensorboard, wise_ft) as watchers:
        with stop_on_interrupt() as stop:
            done = run.train(watchers, resume=resume, stop=stop)
        if not done:
            click.echo("interrupted; go on with the same command and --resume", err=True)
            ctx.exit(130)
        outcome = None
        if is_first:
            is_sweep = wise_ft == "sweep"
            alpha = None if is_sweep or wise_ft is None else float(wise_ft)
            outcome = run.finish(watchers, alpha, sweep=is_sweep)
        world.leave()
    if outcome:
        _show(outcome, as_json)


def _read(
    pairs: Path, images: Path | None, validation: str, general: Path | None, seed: int
) -> tuple[Data, Counter[str]]:
    """Read and divide the captioned images; also why rows were of no use."""
    from searchengine.finetune.run import Data
    from searchengine.finetune.split import split, without

    read = read_pairs(pairs, images)
    skipped = Counter(read.skipped)
    try:
        fraction = float(validation)
    except ValueError:
        others = read_pairs(Path(validation), images)
        skipped += Counter(others.skipped)
        train, held_out = without(read.images, others.images), list(others.images)
    else:
        if not 0 < fraction < 1:
            raise click.UsageError("--validation is a file, or a fraction between 0 and 1")
        train, held_out = split(read.images, fraction, seed)
    kept = list(read_pairs(general, images).images) if general else []
    return Data(train, held_out, kept), skipped


def _say_data(data: Data) -> None:
    parts = f"{len(data.train)} images to train on, {len(data.validation)} to validate on"
    if data.general:
        parts += f", {len(data.general)} general ones"
    click.echo(parts, err=True)


@contextmanager
def _watchers(
    quiet: bool, as_json: bool, tensorboard: Path | None, wise_ft: float | str | None
) -> Iterator[Watchers]:
    from searchengine.finetune.report import Scalars, require
    from searchengine.finetune.run import Watchers

    if tensorboard:
        require("tensorboard", "--tensorboard")
    scalars = Scalars(tensorboard) if tensorboard else None
    with draw_steps(quiet) as draw:

        def step(step: Step) -> None:
            draw(step)
            if scalars:
                scalars.step(step)

        def epoch(row: dict[str, Any]) -> None:
            if as_json:
                echo_json(row)
            elif not quiet:
                say_epoch(row)
            if scalars:
                scalars.epoch(row)

        def mixture(mixture: Mixture) -> None:
            if not quiet and wise_ft is not None:
                say_mixture(mixture)

        yield Watchers(step, epoch, mixture)
    if scalars:
        scalars.close()


def _show(outcome: Outcome, as_json: bool) -> None:
    from searchengine.finetune.report import as_lines, before_and_after

    if outcome.broken:
        name, reason = next(iter(outcome.broken.items()))
        click.echo(
            f"pictures that cannot be read: {len(outcome.broken)}; the first is "
            f"{on_one_line(name)}: {reason}",
            err=True,
        )
    if as_json:
        echo_json(
            {
                "model": str(outcome.folder.path),
                "wise_ft": outcome.chosen.alpha,
                "failures": [
                    {"image": name, "reason": reason} for name, reason in outcome.broken.items()
                ],
                **{
                    name: {"before": before.as_json(), "after": after.as_json()}
                    for name, before, after in outcome.rows
                },
            }
        )
        return
    for line in as_lines(before_and_after(outcome.rows)):
        click.echo(line)
    click.echo(f"\nthe model is in {outcome.folder.path}; use it with:")
    click.echo(f"  searchengine index --re-embed --model {outcome.folder.path}")
