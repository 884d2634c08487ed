"""The generated page of every command and option, and its examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from scripts import cli_examples
from scripts.cli_examples import Example, unused

SCRIPT = Path(__file__).parents[2] / "scripts" / "cli_reference.py"


def test_the_page_is_not_stale_and_its_examples_have_every_option() -> None:
    command = [sys.executable, SCRIPT, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@click.command()
@click.option("-q", "--quiet", is_flag=True)
@click.option("--captioned/--not-captioned")
def toy() -> None:
    """A command."""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("searchengine toy --quiet --captioned --not-captioned", []),
        ("ls; searchengine toy -q --captioned --not-captioned | wc -l", []),
        ("searchengine toy -q --captioned", ["toy: --not-captioned"]),
        ("searchengine toy --captioned --not-captioned", ["toy: -q/--quiet"]),
        ("searchengine toy -q --captioned --not-captioned --loud", ["toy: --loud"]),
    ],
)
def test_an_option_without_an_example_is_found_and_so_is_an_unknown_one(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_examples, "EXAMPLES", {"toy": (Example(line),)})
    assert unused("toy", toy) == expected


def test_a_command_without_an_example_is_found() -> None:
    assert unused("nowhere", toy) == ["nowhere: an example"]
