"""CSV and TSV with a header, and Flickr's `name.jpg#0<TAB>caption`."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.captions import read_captions
from searchengine.errors import CaptionError
from tests.captions.toys import shown, write

BOTH = {"a.jpg": ("a dog", "two dogs"), "b.jpg": ("a cat",)}


@pytest.mark.parametrize(
    "header",
    ["image,caption", "filepath\ttitle", "file_name,text", "filename\tcaption", " Image , Caption"],
)
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.TXT"])
def test_headers_and_delimiters(photos: Path, header: str, name: str) -> None:
    delimiter = "\t" if "\t" in header else ","
    rows = [header, "a.jpg,a dog", "", "a.jpg,two dogs", "   ", "b.jpg,a cat"]
    for mark, end in (("", "\n"), ("\ufeff", "\r\n")):
        text = mark + end.join([rows[0], *(row.replace(",", delimiter) for row in rows[1:])])
        assert shown(read_captions(write(photos, name, text))) == BOTH


def test_columns_may_come_in_any_order_among_others(photos: Path) -> None:
    table = "\nid,caption,split,image\n1,a dog,train,a.jpg\n2,two dogs,,a.jpg\n3,a cat,,b.jpg\n"
    assert shown(read_captions(write(photos, "x.csv", table))) == BOTH


def test_a_quoted_field_holds_anything(photos: Path) -> None:
    table = 'image,caption\na.jpg,"a dog,\n""Rex"", runs"\nb.jpg,x\nno.jpg,x\n'
    captions = read_captions(write(photos, "x.csv", table))
    assert shown(captions)["a.jpg"] == ('a dog, "Rex", runs',)
    assert captions.examples == ("x.csv:5: image is missing: no.jpg",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("photo,words\n", "x.csv:1: .*found photo, words; expected one of image, .* caption,"),
        ("image,words\n", "x.csv:1: "),
        ("dog.jpg,a dog\n", "found dog.jpg, a dog"),
        ("image,caption\na.jpg,one\na.jpg,one, two\n", "x.csv:3: 3 fields under a header of 2"),
        ('image,caption\na.jpg,"one\ntwo"\n\nb.jpg\n', "x.csv:5: 1 fields"),
        ('image,caption\na.jpg,one\nb.jpg,"never closed\nand on\n', "x.csv:3: unexpected end"),
        ('image,caption\na.jpg,"one" two\n', "x.csv:2: .*written twice"),
        (b"image,caption\na.jpg,one\nb.jpg,caf\xe9\n", "x.csv:3: this is not UTF-8"),
        ("image,caption\n".encode("utf-16"), "x.csv:1: this is not UTF-8"),
    ],
)
def test_a_damaged_table_is_an_error_with_its_line(
    photos: Path, table: str | bytes, message: str
) -> None:
    with pytest.raises(CaptionError, match=message):
        read_captions(write(photos, "x.csv", table))


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "results.token"])
def test_flickr(photos: Path, name: str) -> None:
    text = '\na.jpg#0\ta dog\r\na.jpg#1\t"two" dogs, here\n\nb.jpg#0\ta cat\nx.jpg.1#0\ta cat'
    captions = read_captions(write(photos, name, text))
    assert shown(captions) == {"a.jpg": ("a dog", '"two" dogs, here'), "b.jpg": ("a cat",)}
    assert captions.examples == (f"{name}:6: image is missing: x.jpg.1",)


@pytest.mark.parametrize("line", ["a.jpg\tno number", "a.jpg#0 no tab", "a.jpg#one\tno digit"])
def test_a_line_that_is_not_flickrs(photos: Path, line: str) -> None:
    with pytest.raises(CaptionError, match=r"x\.txt:2: not of the form"):
        read_captions(write(photos, "x.txt", f"a.jpg#0\ta dog\n{line}\n"))
