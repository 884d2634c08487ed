"""The options of a filter, on a command of their own."""

from __future__ import annotations

import subprocess

import click
import pytest
from click.testing import CliRunner

from searchengine.cli.filtering import filter_options
from searchengine.filters import Circle, Filters
from tests.cli.conftest import ENGINE


@click.command()
@click.argument("text")
@filter_options
@click.option("-k", default=10)
def find(text: str, filters: Filters, k: int) -> None:
    """Find TEXT."""
    click.echo(repr((text, filters, k)))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(find, ["x", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_without_options_nothing_is_filtered() -> None:
    assert run() == repr(("x", Filters(), 10))
    assert not Filters()


def test_every_option_is_a_part_of_the_filter() -> None:
    line = (
        "--after 2024 --before 2024-07-31T18:30 --camera nikon --lens 50mm --near -33.9,151.2,5 "
        "--folder Holiday --type jpg --type .HEIC --min-size 2MB --min-width 1920 "
        "--orientation portrait --not-captioned -k 3"
    )
    expected = Filters(
        after="2024-01-01T00:00:00",
        before="2024-07-31T18:30:00",
        camera="nikon",
        lens="50mm",
        near=Circle(-33.9, 151.2, 5.0),
        folder="Holiday",
        types=("JPEG", "HEIF"),
        min_bytes=2_000_000,
        min_width=1920,
        orientation="portrait",
        captioned=False,
    )
    assert run(*line.split()) == repr(("x", expected, 3))
    assert all(getattr(expected, part) is not None for part in Filters.__slots__)
    assert run("--captioned") == repr(("x", Filters(captioned=True), 10))


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--after", "yesterday", "'yesterday' is not a date; write it like 2024,"),
        ("--before", "2024-13", "'2024-13' is not a date"),
        ("--near", "48.2,16.4", "is not LATITUDE,LONGITUDE,KM"),
        ("--near", "95,16.4,5", "latitude 95.0 is not between"),
        ("--near", "48,16,-5", "-5.0 km is not a distance"),
        ("--type", "mp4", "'mp4' is not an image format"),
        ("--min-size", "big", "'big' is not a size"),
        ("--min-width", "0", "0 is not in the range"),
        ("--orientation", "round", "'landscape', 'portrait', 'square'"),
        ("--folder", "", "it is empty"),
        ("--camera", " ", "it is empty"),
        ("--lens", "", "it is empty"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error_on_one_line(
    option: str, value: str, says: str
) -> None:
    result = CliRunner().invoke(find, ["x", option, value])
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"Error: Invalid value for '{option}'")
    assert says in last


def test_help_shows_an_example_of_each_in_the_order_of_the_filter() -> None:
    text = CliRunner().invoke(find, ["--help"]).stdout
    names = "after before camera lens near folder type min-size min-width orientation captioned"
    places = [text.index(f"\n  --{name}") for name in names.split()]
    assert places == sorted(places)
    assert "-k" in text


def test_the_options_import_nothing_heavy() -> None:
    code = (
        "import sys; import searchengine.cli.filtering\n"
        "print([m for m in ('numpy', 'PIL', 'sqlalchemy', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([ENGINE[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
