"""Run the examples of docs/cli.md in a temporary home folder, and take down what they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from cli_examples import EXAMPLES, Example

WIDTH, MOST_LINES = 200, 12
HOME = "/home/me"
CHECKOUT = Path(__file__).resolve().parents[1]
PROGRESS = re.compile(r"\d+/\d+ [a-z ]+, \d+/s, \d+ s left")
CHANGING = (  # what differs from run to run
    (re.compile(r"[\d.]+ s \(\d+ images/s\)"), "... s (... images/s)"),
    (re.compile(r'"(seconds|images_per_second)": [\d.]+'), r'"\1": ...'),
    (re.compile(r"^\d\d:\d\d:\d\d  ", re.MULTILINE), "12:00:00  "),
    (re.compile(r"watched for \d+ s"), "watched for ... s"),
    (re.compile(r"(?<=//127\.0\.0\.1:)\d+"), "8765"),
)


def run_all() -> dict[str, str]:
    """The output of every line that is run."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from cli_scene import furnish
    from demo import fetch_photographs

    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve() / "me"
        home.mkdir()
        furnish(home, fetch_photographs())
        examples = [each for group in EXAMPLES.values() for each in group if not each.not_run]
        return {each.line: tidy(_run(each, home), home) for each in examples}


def _run(example: Example, home: Path) -> str:
    """What a person in a shell at `home` would see."""
    print(f"$ {example.line}", file=sys.stderr)
    process = subprocess.Popen(
        ["bash", "-c", example.line],
        cwd=home,
        env=_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if example.until and example.until in line:
            os.killpg(process.pid, signal.SIGINT)
            lines.append("^C\n")
            example = example._replace(until="")
    code = process.wait()
    text = "".join(lines)
    if code not in (0, 130, -signal.SIGINT) or example.until or "Traceback" in text:
        sys.exit(f"the example failed with {code}:\n{text}")
    return text


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SEARCHENGINE_", "XDG_"))
    }
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }


def tidy(text: str, home: Path) -> str:
    """An output without progress, timings and the temporary folder, and not too long or wide."""
    text = text.replace(str(home), HOME).replace(str(CHECKOUT), f"{HOME}/searchengine")
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    lines = [line.rstrip() for line in text.splitlines() if not PROGRESS.fullmatch(line)]
    if len(lines) > MOST_LINES:
        rest = len(lines) - MOST_LINES + 1
        lines = [*lines[: MOST_LINES - 1], f"... and {rest} lines more"]
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in lines)
