"""The command line: it talks to people and leaves the work to the package.

Results go to stdout, progress and warnings to stderr. Exit 0 is success, 1 an error of ours on
one line, 2 a usage error, 130 an interruption.
"""

from __future__ import annotations

import gc
import logging
import sys
from typing import Any

import click

from searchengine import __version__
from searchengine.cli.duplicates import duplicates
from searchengine.cli.evaluating import evaluate
from searchengine.cli.finetuning import finetune
from searchengine.cli.indexing import index
from searchengine.cli.inspecting import check, info
from searchengine.cli.locating import locate
from searchengine.cli.models import models
from searchengine.cli.portability import export, import_, merge, roots
from searchengine.cli.recognising import classify, describe
from searchengine.cli.searching import search, similar
from searchengine.cli.serving import serve
from searchengine.cli.watching import watch
from searchengine.errors import SearchEngineError

INTERRUPTED = 130


class _Group(click.Group):
    """Prints the engine's own errors on one line, and answers Ctrl-C with exit 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SearchEngineError as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        finally:
            if "torch" not in sys.modules:  # its bindings complain of what stays
                gc.freeze()  # or Python would search all it ever imported for cycles, only to exit


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="searchengine")
def main() -> None:
    """Find pictures by words or by example, offline."""
    gc.set_threshold(50_000)  # importing makes objects to keep; looking for garbage took 20 ms
    for stream in (sys.stdout, sys.stderr):  # names that are not UTF-8 leave as they came
        getattr(stream, "reconfigure", lambda **_: None)(errors="surrogateescape")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)


COMMANDS = (
    *(index, search, similar, duplicates, classify, describe, locate),
    *(serve, watch, roots, merge, export, import_),
    *(finetune, evaluate, models, info, check),
)
for command in COMMANDS:
    main.add_command(command)
