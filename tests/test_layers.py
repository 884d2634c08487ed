"""The house's rules about who imports whom, read from the imports themselves."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "searchengine"

LEVELS = {
    "types": 0,
    "errors": 0,
    "filters": 0,
    "keywords": 0,
    "images": 1,
    "encoders": 1,
    "catalog": 1,
    "captions": 1,
    "vectors": 1,
    "index": 2,
    "captioning": 3,
    "ingest": 3,
    "duplicates": 3,
    "query": 3,
    "reembedding": 3,
    "portable": 3,
    "watching": 3,
    "scale": 3,
    "evaluation": 3,
    "finetune": 3,
    "engine": 4,
    "web": 5,
    "cli": 6,
    "__main__": 7,
    "__init__": 7,
}
SIBLINGS = {
    ("errors", "types"),
    ("filters", "errors"),
    ("query", "duplicates"),
    ("reembedding", "ingest"),
    ("evaluation", "query"),
    ("finetune", "evaluation"),
    ("__main__", "__init__"),
    ("cli", "__init__"),  # the version, like the following
    ("web", "__init__"),
}
ONLY_IN = {
    "torch": {"encoders", "finetune"},
    "open_clip": {"encoders", "finetune"},
    "peft": {"finetune"},
    "sqlalchemy": {"catalog", "scale"},
    "psycopg": {"catalog", "scale"},
    "pymilvus": {"scale"},
    "ray": {"scale"},
    "fsspec": {"scale"},
    "faiss": {"vectors"},
    "sklearn": {"evaluation"},
    "pyarrow": {"portable", "scale"},
    "watchdog": {"watching"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "pydantic": {"web"},
    "prometheus_client": {"web"},
}

# What may need the extras: torch's side of the encoders, the one place that reads RAW, the web.
NEEDS_AN_EXTRA = {
    *(f"encoders/{name}.py" for name in ("export", "graphs", "tokenizer_export", "torch_encoder")),
    *(f"encoders/{name}.py" for name in ("image_part", "retrained", "text_part", "two_tower")),
    *(f"finetune/{name}.py" for name in ("parts", "report", "run")),
    "images/raw.py",
    *(f"portable/{name}.py" for name in ("layouts", "parquet")),
    "evaluation/confusion.py",
    "evaluation/probe.py",
}
DISTRIBUTIONS = {"PIL": "pillow", "Stemmer": "pystemmer", "faiss": "faiss-cpu"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path, *, at_top: bool = False) -> Iterator[str]:
    """The dotted names a module imports; with `at_top`, only those it imports when it is loaded."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    nodes = ast.iter_child_nodes(tree) if at_top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", modules(), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_go_downward_only(module: Path) -> None:
    here = room(module)
    for name in imports(module):
        parts = name.split(".")
        if parts[0] != "searchengine":
            continue
        there = parts[1] if len(parts) > 1 and parts[1] in LEVELS else "__init__"
        if there in (here, "__init__") or (here, there) in SIBLINGS:
            continue
        assert LEVELS[there] < LEVELS[here], f"{here} imports {there}"


def test_every_room_has_a_level() -> None:
    assert {room(module) for module in modules()} <= LEVELS.keys()


@pytest.mark.parametrize("module", modules(), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_each_third_party_library_has_one_room(module: Path) -> None:
    for name in imports(module):
        owners = ONLY_IN.get(name.split(".")[0])
        assert owners is None or room(module) in owners, f"{name} belongs in {owners}"


def test_index_never_imports_an_encoder() -> None:
    modules = list((PACKAGE / "index").glob("*.py"))
    assert modules
    assert not any("encoders" in name for module in modules for name in imports(module))


def test_what_a_plain_installation_imports_is_a_dependency() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    names = {re.split(r"[^\w-]", each)[0] for each in project["project"]["dependencies"]}
    for module in modules():
        if module.relative_to(PACKAGE).as_posix() in NEEDS_AN_EXTRA or room(module) in (
            "scale",
            "web",
        ):
            continue
        for name in imports(module):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in ("searchengine", "torch"):
                continue  # torch is imported only where it has been found
            assert DISTRIBUTIONS.get(top, top.replace("_", "-")) in names, f"{module}: {top}"
