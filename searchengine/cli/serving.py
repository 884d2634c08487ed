"""`searchengine serve`."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from searchengine.cli.options import default_index, device_option
from searchengine.cli.output import on_one_line
from searchengine.errors import IndexFolderError, SearchEngineError


@click.command()
@click.option(
    "--index",
    "index_folders",
    envvar="SEARCHENGINE_INDEX",
    multiple=True,
    default=lambda: [default_index()],
    show_default="indexes/default in the user's data folder",
    show_envvar=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    callback=lambda _context, _option, folders: [each.expanduser() for each in folders],
    help="Folder of an index; may be given again, and the page lets one choose.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; any but this machine's own needs --token. All: 0.0.0.0.",
)
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 is any free one.",
)
@click.option(
    "--token",
    envvar="SEARCHENGINE_TOKEN",
    show_envvar=True,
    metavar="SECRET",
    help="What people must type before they see anything.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another name under which the page is asked for, such as photos.example.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@device_option("auto")
def serve(
    index_folders: list[Path],
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    open_page: bool,
    device: str,
) -> None:
    """Serve a page for searching, and its JSON API, until Ctrl-C.

    Everything stays on this machine, unless --host says otherwise: then people elsewhere need the
    token. The API is described at /api/openapi.json, and /metrics is for Prometheus.
    """
    from searchengine.evaluation.extras import require

    for module in ("fastapi", "uvicorn", "prometheus_client"):
        require(module, "the page", "web", SearchEngineError)
    from searchengine.web import library, server
    from searchengine.web.settings import Settings

    if token is not None and not token.strip():
        raise click.BadParameter("it is empty", param_hint="--token")
    if token is None and not server.is_loopback(host):
        raise SearchEngineError(
            f"{host} can be reached from other machines, and without a token anybody there could "
            "see the pictures; give --token SECRET, or leave --host out"
        )
    _check_indexes(index_folders)

    def started(address: str) -> None:
        click.echo(f"the page is at {address}  (Ctrl-C ends it)")
        if open_page:
            threading.Thread(target=_open, args=(address,), daemon=True).start()

    settings = Settings(host=host, port=port, token=token, hosts=hosts)
    interrupted = server.serve(library.unique_names(index_folders), settings, device, started)
    if interrupted:
        click.echo("interrupted", err=True)
    # A model may still be loading, or a search running, in a thread; Python would tear down the
    # libraries under it and crash.
    server.end(interrupted)


def _check_indexes(folders: list[Path]) -> None:
    from searchengine.engine import SearchEngine

    for folder in folders:
        if not SearchEngine.exists(folder):
            name = on_one_line(str(folder))
            raise IndexFolderError(
                f"{name} is not an index; make it one with `searchengine index FOLDER "
                f"--index {name}`"
            )


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        click.echo("there is no browser to open; open the address by hand", err=True)
