"""What people read: the table, the card, the curves."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from searchengine.errors import TrainingError
from searchengine.evaluation.recall import Recall, RetrievalRecall
from searchengine.finetune.report import (
    as_lines,
    as_markdown,
    before_and_after,
    draw_curves,
    model_card,
    require,
)
from searchengine.finetune.settings import Settings
from searchengine.finetune.wise_ft import Mixture


def recall(first: float) -> RetrievalRecall:
    there = Recall({1: first, 5: 50.0, 10: 60.0}, 4.0)
    return RetrievalRecall(there, Recall({1: 11.0, 5: 22.0, 10: 33.0}, 9.0), 100, 500)


ROWS = [("validation", recall(20.0), recall(40.5))]


def test_the_table_has_a_line_for_each_direction() -> None:
    header, to_image, to_text = as_lines(before_and_after(ROWS))
    assert "R@10 before > after" in header
    assert to_image.split("  ")[0] == "validation, text to image"
    assert "20.0 > 40.5" in to_image
    assert "11.0 > 11.0" in to_text
    assert len({len(header), len(to_image), len(to_text)}) == 1
    assert as_markdown(before_and_after(ROWS)).count("\n") == 4


def test_the_card_says_from_what_on_what_and_how_far() -> None:
    chosen = Mixture(0.6, ROWS[0][2], None)
    card = model_card("mine", "builtin", Settings(), ROWS, chosen, 120)
    assert card.startswith("# mine\n")
    for fact in ("builtin", "120 captioned images", "0.6 of the way", "20.0 > 40.5"):
        assert fact in card
    whole = model_card("mine", "builtin", Settings(), ROWS, Mixture(1.0, ROWS[0][2], None), 120)
    assert "of the way" not in whole


def test_the_curves_are_a_picture() -> None:
    rows = [
        {"epoch": n, "loss": 3 / n, "validation_loss": 4 / n, **recall(n).as_json()}
        for n in (1, 2, 3)
    ]
    picture = Image.open(io.BytesIO(draw_curves(rows)))
    assert picture.format == "PNG"
    assert min(picture.size) > 300


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(TrainingError, match=r"needs nothing_like_it.*searchengine\[finetune\]"):
        require("nothing_like_it", "finetune")
