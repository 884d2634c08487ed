"""Where in a picture something is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from searchengine.errors import QueryError
from searchengine.evaluation import locate as module
from searchengine.evaluation.locate import Box, Location, locate
from searchengine.types import Embeddings
from tests.evaluation.toys import COLOURS, unit
from tests.fakes import FakeEncoder
from tests.pictures import picture

GREY = (128, 128, 128)


class Colours(FakeEncoder):
    """A picture is its mean colour, less grey; a text is the colour that it names."""

    def encode_images(self, pixels: np.ndarray) -> Embeddings:
        self.encoded += len(pixels)
        return unit(np.append(pixels.mean(axis=(2, 3)), np.full((len(pixels), 1), 0.3), axis=1))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        named = [COLOURS[text.split()[1]] for text in texts]
        return unit([[*(np.array(colour) / 255 - 0.5), 0] for colour in named])


def scene(size: tuple[int, int], box: Box, colour: str = "red") -> Image.Image:
    """A grey picture with a coloured rectangle."""
    image = Image.new("RGB", size, GREY)
    image.paste(COLOURS[colour], box)
    return image


def overlap(one: Box, other: Box) -> float:
    shared = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    shared *= max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def check_form(found: Location, size: tuple[int, int]) -> None:
    """What holds whatever was found."""
    assert found.heat.shape == size[::-1]
    assert found.heat.dtype == np.float32
    assert found.heat.min() >= 0
    assert found.heat.max() <= 1
    left, top, right, bottom = found.box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert all(type(side) is int for side in found.box)
    assert -1.001 <= found.score <= 1.001


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((300, 300), (100, 100, 200, 200)),
        ((300, 300), (0, 0, 120, 120)),
        ((300, 300), (220, 210, 300, 300)),
        ((640, 480), (400, 100, 560, 260)),
        ((240, 480), (40, 300, 160, 430)),  # portrait
        ((900, 200), (700, 60, 800, 160)),  # panorama
        ((32, 24), (16, 8, 26, 18)),
    ],
)
def test_box_covers_the_red_square_and_the_heat_is_highest_in_it(
    size: tuple[int, int], box: Box
) -> None:
    found = locate(Colours(), scene(size, box), "the red square")
    check_form(found, size)
    assert overlap(found.box, box) > 0.45
    y, x = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert box[0] <= x < box[2]
    assert box[1] <= y < box[3]


def test_of_two_squares_the_one_that_the_text_names() -> None:
    image = scene((400, 300), (40, 40, 140, 140))
    image.paste(COLOURS["blue"], (250, 150, 350, 250))
    red, blue = (locate(Colours(), image, text) for text in ("the red one", "the blue one"))
    assert overlap(red.box, (40, 40, 140, 140)) > 0.5
    assert overlap(blue.box, (250, 150, 350, 250)) > 0.5


def test_box_is_around_one_of_two_equal_squares_that_lie_apart() -> None:
    image = scene((600, 200), (20, 50, 120, 150))
    image.paste(COLOURS["red"], (480, 50, 580, 150))
    left, _, right, _ = locate(Colours(), image, "the red one").box
    assert right < 300 or left > 300


def test_score_is_the_cosine_of_the_text_and_of_what_is_in_the_box() -> None:
    encoder, image = Colours(), scene((200, 200), (60, 60, 140, 140))
    found = locate(encoder, image, "the red square")
    inside = encoder.encode_images(encoder.preprocess(image.crop(found.box))[np.newaxis])
    assert found.score == pytest.approx(float(inside[0] @ encoder.encode_texts(["the red"])[0]))


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (200, 1), (1, 57), (2, 3), (3000, 20)])
def test_tiny_and_thin_pictures(size: tuple[int, int]) -> None:
    image = picture(1, size)
    check_form(locate(Colours(), image, "the green one"), size)
    image.paste(COLOURS["red"], (size[0] // 2, 0, size[0], size[1]))
    check_form(locate(Colours(), image, "the red half"), size)


def test_red_end_of_a_line_of_pixels() -> None:
    found = locate(Colours(), scene((200, 1), (140, 0, 200, 1)), "the red end")
    assert overlap(found.box, (140, 0, 200, 1)) > 0.5


def test_picture_that_is_the_same_everywhere_has_no_heat_and_is_all_box() -> None:
    found = locate(Colours(), Image.new("RGB", (90, 60), COLOURS["red"]), "the red one")
    assert not found.heat.any()
    assert found.box == (0, 0, 90, 60)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_an_error(text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        locate(Colours(), scene((9, 9), (0, 0, 4, 4)), text)


def test_the_picture_is_left_as_it_was() -> None:
    image = scene((100, 80), (20, 20, 60, 60))
    before = image.tobytes()
    locate(Colours(), image, "the red square")
    assert image.tobytes() == before


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 4000), height=st.integers(1, 4000))
def test_windows_are_few_lie_inside_and_leave_no_gap(width: int, height: int) -> None:
    sizes = module._windows(width, height)
    assert sum(len(windows) for windows in sizes) <= module._MOST
    for windows in sizes:
        assert (windows >= 0).all()
        assert (windows[:, :2] < windows[:, 2:]).all()
        for near, far, length in ((0, 2, width), (1, 3, height)):
            starts, ends = np.unique(windows[:, near]), np.unique(windows[:, far])
            assert (starts[0], ends[-1]) == (0, length)
            assert (starts[1:] <= ends[:-1]).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 40), height=st.integers(1, 40))
def test_heat_equals_a_loop_over_pixels(seed: int, width: int, height: int) -> None:
    random = np.random.default_rng(seed)
    count = 12
    lefts, tops = random.integers(0, width, count), random.integers(0, height, count)
    rights, bottoms = random.integers(lefts + 1, width + 1), random.integers(tops + 1, height + 1)
    scores = random.standard_normal(count)
    total, cover = np.zeros((height, width)), np.zeros((height, width))
    for left, top, right, bottom, score in zip(lefts, tops, rights, bottoms, scores, strict=True):
        total[top:bottom, left:right] += score
        cover[top:bottom, left:right] += 1
    expected = total / (cover + cover.max())
    expected -= expected.min()
    if expected.any():
        expected /= expected.max()
    windows = np.stack([lefts, tops, rights, bottoms], axis=1)
    found = module._heat(windows, scores.astype(np.float32), (width, height))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_box_takes_in_every_pixel_of_the_hot_cells_and_no_other() -> None:
    heat = np.zeros((4, 5))
    heat[1, 2], heat[2, 2], heat[2, 3], heat[0, 0] = 0.9, 1, 0.75, 0.8
    assert module._box(heat, (5, 4)) == (2, 1, 4, 3)
    assert module._box(heat, (50, 8)) == (20, 2, 40, 6)
    assert module._box(heat, (12, 6)) == (4, 1, 10, 5)  # cells of 2.4 by 1.5 pixels


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.2, 0.9))
def test_region_is_what_walking_from_cell_to_cell_reaches(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((9, 12)) < share
    start = seed % mask.size
    mask.flat[start] = True
    reached, waiting = set(), [divmod(start, 12)]
    while waiting:
        row, column = waiting.pop()
        if (row, column) in reached or not (0 <= row < 9 and 0 <= column < 12):
            continue
        if mask[row, column]:
            reached.add((row, column))
            waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    found = module._region(mask, start)
    assert {(int(row), int(column)) for row, column in np.argwhere(found)} == reached
