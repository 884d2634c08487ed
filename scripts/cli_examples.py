"""The examples of docs/cli.md: for every command, lines that together use all its options.

Commands are run in this order, in the home folder that cli_scene.py furnishes.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

import click


class Example(NamedTuple):
    """A line for the shell."""

    line: str
    not_run: str = ""
    """Why the line is shown without output."""
    until: str = ""
    """Ctrl-C is pressed at the first output line that holds this."""


def _examples(*lines: str | Example) -> tuple[Example, ...]:
    return tuple(line if isinstance(line, Example) else Example(line) for line in lines)


WINDOW = "it opens a window"
SERVER = "it needs a server"
DATABASE = "postgresql+psycopg://me@localhost/pictures"
TERMINAL = "the pictures are drawn into the terminal"
EXAMPLES: dict[str, tuple[Example, ...]] = {
    "": _examples("searchengine --version"),
    "index": _examples(
        "searchengine index ~/Pictures --exclude Drafts",
        "searchengine index ~/Pictures --include-hidden --retry-failed",
        "searchengine index ~/Pictures --no-exclude --no-include-hidden --json --quiet",
        "searchengine index ~/Pictures --captions captions.csv --images ~/Pictures",
        "searchengine index ~/Scans --index indexes/scans --model ./tiny --device cpu",
        "searchengine index --index indexes/scans --re-embed --model builtin",
        "searchengine index --index indexes/scans --store milvus:vectors.db",
        "searchengine index --index indexes/scans --store faiss",
        Example(f"searchengine index ~/Scans --index indexes/shop --catalog {DATABASE}", SERVER),
        "searchengine index ~/Pictures --index indexes/cluster --ray",
        "searchengine index ~/Pictures --ray --parquet embeddings",
        "searchengine index",
        "mkdir Phone; cp Pictures/coins.png Phone; searchengine index Phone",
        "rm Phone/coins.png; searchengine index Phone --allow-empty",
    ),
    "info": _examples("searchengine info", "searchengine info --index indexes/scans --json"),
    "check": _examples(
        "searchengine check --json",
        "searchengine check --repair --index indexes/scans",
    ),
    "search": _examples(
        'searchengine search "a rocket" -k 3',
        'searchengine search "a rocket" -k 3 --no-collapse --paths',
        'searchengine search "a rocket" -k 2 --offset 2',
        'searchengine search "a cup" --plus "0.5:Pictures/Holiday/flower.jpg" -k 3',
        'searchengine search "outdoors" --minus 0.5:id:1 -x "a person" -k 3',
        'searchengine search "a purple elephant" --min-relevance likely',
        'searchengine search "coins" --semantic-only -k 1',
        'searchengine search "coins" --raw -k 1',
        'searchengine search "an animal" --diverse -k 3',
        'searchengine search "a building" --after 2024-07-14 --before 2024-07-15',
        'searchengine search "a building" --camera nikon --lens 50mm -k 2',
        'searchengine search "a building" --near 39.9,116.4,5',
        'searchengine search "a drink" --folder Holiday --type jpg --orientation landscape -k 2',
        'searchengine search "a face" --min-size 100kB --min-width 500 --captioned -k 2',
        'searchengine search "an animal" --not-captioned -k 2',
        'searchengine search "on a journey" --sort date -k 3',
        'searchengine search "on a journey" --group day --folder Holiday',
        'searchengine search "a cat" -k 1 --json',
        'searchengine search "a cat" -k 2 --csv --device cpu',
        'searchengine search "coins" -k 2 -0 --index indexes/scans | xargs -0 -n 1 basename',
        "searchengine search --from-file queries.txt -k 1",
        'searchengine search "a cat" --html cat.html -k 1',
        Example('searchengine search "a cat" --html cat.html --open', WINDOW),
        Example('searchengine search "a cat" --preview', TERMINAL),
    ),
    "similar": _examples(
        "searchengine similar ~/Pictures/Cats/shot-1.jpg -k 3",
        "searchengine similar id:1 id:2 --minus 0.5:flowers -k 2 --offset 1",
        "searchengine similar ~/Pictures/Space/rocket.jpg -k 3 --no-collapse --paths",
        "searchengine similar ~/Pictures/coins.png -k 2 --diverse --device cpu",
        "searchengine similar id:1 --after 2024-07 --before 2024-08 --camera nikon --lens 50mm",
        "searchengine similar id:1 --near 39.9,116.4,5 --folder Holiday --type jpg",
        "searchengine similar id:1 --min-size 50kB --min-width 400 --orientation square",
        "searchengine similar id:1 --captioned -k 2 --sort date",
        "searchengine similar id:1 --not-captioned -k 2 --group folder",
        "searchengine similar id:1 -k 1 --json",
        "searchengine similar id:1 -k 2 --csv",
        "searchengine similar Pictures/coins.png -0 --index indexes/scans | xargs -0 basename",
        "searchengine similar id:1 -k 2 --html like.html",
        Example("searchengine similar id:1 --open", WINDOW),
        Example("searchengine similar id:1 --preview", TERMINAL),
    ),
    "duplicates": _examples(
        "searchengine duplicates",
        "searchengine duplicates --kind exact --kind near --html copies.html --json",
        "searchengine duplicates --index indexes/scans",
    ),
    "classify": _examples(
        'searchengine classify Pictures/Cats/shot-1.jpg --labels "cat,dog,rocket"',
        "searchengine classify Pictures/coins.png Pictures/page.png --labels labels.txt "
        "--templates plain --top 1",
        'searchengine classify Pictures/Space/moon.png --labels "moon,sun" '
        '--template "a telescope\'s view of the {}" --model builtin --device cpu --json',
    ),
    "describe": _examples(
        "searchengine describe Pictures/Holiday/china.jpg --captions texts.txt -k 2",
        "searchengine describe Pictures/coins.png --captions - --model builtin --device cpu --json "
        "< labels.txt",
    ),
    "locate": _examples(
        'searchengine locate Pictures/Space/astronaut.png "a space shuttle" --out shuttle.png',
        'searchengine locate Pictures/camera.png "a camera" --model builtin --device cpu --json',
    ),
    "watch": _examples(
        Example("searchengine watch", until="changed"),
        Example(
            "searchengine watch ~/Scans --index indexes/watched --model builtin --device cpu "
            "--json --quiet",
            until="added",
        ),
    ),
    "export": _examples(
        "searchengine export exported",
        "searchengine export vectors --format npy --index indexes/scans --json --quiet",
    ),
    "import": _examples(
        "searchengine import exported --images ~/Pictures --index indexes/imported",
        "searchengine import vectors --images ~/Scans --model builtin --device cpu "
        "--index indexes/again --json --quiet",
    ),
    "merge": _examples(
        "searchengine merge indexes/scans",
        "searchengine merge indexes/scans --index indexes/imported --json --quiet",
    ),
    "serve": _examples(
        Example("searchengine serve --port 0", until="Ctrl-C"),
        Example(
            "searchengine serve --index indexes/scans --index indexes/imported --port 0 "
            "--host 0.0.0.0 --token 'a long secret' --allow-host photos.example --device cpu",
            until="Ctrl-C",
        ),
        "searchengine serve --host 0.0.0.0 || true",
        Example("searchengine serve --open", WINDOW),
    ),
    "roots list": _examples(
        "searchengine roots list", "searchengine roots list --index indexes/scans --json"
    ),
    "roots move": _examples(
        "mv Scans Archive; searchengine roots move Scans Archive",
        "searchengine roots move Scans Archive --index indexes/scans --json",
    ),
    "roots remove": _examples(
        "searchengine roots remove Archive",
        "searchengine roots remove Archive --index indexes/scans --json",
    ),
    "models list": _examples("searchengine models list --json", "searchengine models list --all"),
    "models show": _examples("searchengine models show", "searchengine models show ./tiny --json"),
    "models pull": _examples(
        Example("searchengine models pull ViT-B-32/laion2b_s34b_b79k", "it needs a network")
    ),
    "models build": _examples(
        "searchengine models build --image-encoder timm:test_resnet --text-encoder hf:./bert "
        "--no-pretrained --dim 32 --head linear --pooler cls --context-length 32 --out parts",
        Example(
            "searchengine models build --image-encoder timm:resnet50 --pretrained "
            "--text-encoder hf:distilbert-base-uncased --out resnet-distilbert",
            "it needs a network",
        ),
        "searchengine models build --image-encoder timm:test_resnet --image-weights resnet.pt "
        "--text-encoder hf:./bert --no-pretrained --out own",
    ),
    "models export": _examples("searchengine models export ./clip"),
    "models calibrate": _examples("searchengine models calibrate ./parts"),
    "finetune": _examples(
        "searchengine finetune captions.csv --images ~/Pictures --model ./tiny --out mine "
        "--validation 0.3 --epochs 2 --batch-size 4 --micro-batch 2 --image-rate 1e-4 "
        "--text-rate 1e-4 --head-rate 1e-3 --weight-decay 0.1 --warm-up 0.1 --crop 0.8 --mirror",
        "searchengine finetune captions.csv --images ~/Pictures --model ./tiny --out adapted "
        "--validation held-out.csv --general general.csv --train lora --lora-rank 4 --loss sigmoid "
        "--epochs 1 --captions-per-image 2 --schedule plateau --patience 2 --seed 1 --wise-ft 0.5 "
        "--tensorboard runs --device cpu --json --quiet",
        Example(
            "searchengine finetune captions.csv --images ~/Pictures --model ./tiny --out later "
            "--epochs 3",
            until="epoch 1",
        ),
        "searchengine finetune captions.csv --images ~/Pictures --model ./tiny --out later "
        "--epochs 3 --resume",
    ),
    "evaluate recall": _examples(
        "searchengine evaluate recall captions.csv --images ~/Pictures",
        "searchengine evaluate recall indexes/imported --model ./mine --device cpu --json",
    ),
    "evaluate zeroshot": _examples(
        "searchengine evaluate zeroshot Textures --classnames names.csv --templates photo "
        "--confusion confusion.png",
        "searchengine evaluate zeroshot Textures --labels labels.csv "
        '--template "a close-up of {}" --model builtin --device cpu --json',
    ),
    "evaluate probe": _examples(
        'searchengine evaluate probe Textures --test "More textures" --shots 1,4',
        "searchengine evaluate probe Textures --seed 1 --model builtin --device cpu --json",
    ),
}


def unused(name: str, command: click.Command) -> list[str]:
    """What the examples of a command lack, or what they have and the command does not."""
    words = [word for each in EXAMPLES.get(name, ()) for word in _arguments(each.line)]
    if not words and not isinstance(command, click.Group):
        return [f"{name}: an example"]
    options = [each for each in command.params if isinstance(each, click.Option)]
    known = [*(o for each in options for o in (*each.opts, *each.secondary_opts)), "-"]
    strange = [word for word in words if word.startswith("-") and word not in known]
    ways = [way for each in options for way in (each.opts, each.secondary_opts) if way]
    missing = ["/".join(way) for way in ways if not set(way) & set(words) and "--help" not in way]
    return [f"{name}: {option}" for option in (*missing, *strange)]


def _arguments(line: str) -> list[str]:
    """The words that a line of the shell gives to searchengine."""
    (ours,) = re.findall(r"searchengine ([^|<;]*)", line)
    return shlex.split(ours)
