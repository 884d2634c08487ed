"""Tokens are those of open_clip's own tokenizers."""

# ruff: noqa: RUF001 - look-alike letters are what these tests are about

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, tokenize

from searchengine.encoders.folder import CONFIG, TOKENIZER, ModelFolder
from searchengine.encoders.tokenizer import Tokenizer
from searchengine.encoders.tokenizer_export import write_tokenizer
from tests.encoders.helpers import model_error
from tests.models import HF_CONTEXT_LENGTH, make_bert

CORPUS = (
    "",
    " ",
    "\n\t",
    "dog",
    "A photo of a DOG",
    "  two\tred\nboats \r\n at dusk  ",
    "don't they're we'll I'm you've he'd it's DON'T IT'S ''s",
    "1234 3.14 ½ ² Ⅷ ٣ 一二三",
    "café Zürich naïve Ångström e\u0301 ﬁne ﬀ ſtraße İstanbul ΣΊΣΥΦΟΣ",
    "“quoted” ‘single’ «guillemets» — dash – dash… ‹a›",
    "snake_case __init__ a_b-c _ ___ -_-",
    "🙂 👩‍👩‍👧 👍🏽 🇩🇪 ❤️ a🙂b",
    "日本語の写真 한국어 中文 ｆｕｌｌｗｉｄｔｈ ｶﾅ",
    "русский עברית العربية مرحبا \u200fRTL\u200e \u202eevil\u202c",
    "&amp; &lt;b&gt; &amp;amp;lt; &eacute; &#233; &#x1F642; &nbsp;x &bogus; &",
    "<tag> </tag> #hash @user e-mail@example.org http://x.y/z?a=b&c=d",
    "null\x00bell\x07escape\x1b[31m del\x7f nel\x85 unit\x1fsep",
    "zero\u200bwidth\u200dnon\ufeffbreaking\u00a0space\u3000ideographic\u2028line",
    "Ã© â€œmojibakeâ€\x9d schÃ¶n l’Ã©tÃ© l\u2019été",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "a" * 300,
    "!" * 300,
    "👩‍👩‍👧" * 60,
    " ".join(f"word{i}" for i in range(200)),
    "dog " * 200,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ℌ 𠜎 \U0010ffff \ufffd",
    "[CLS] dog [SEP] [PAD] [MASK]",
    "<start_of_text> a dog <end_of_text>",
    "<START_OF_TEXT> a dog <End_Of_Text>",
)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=60)
FRAGMENTS = st.lists(
    st.sampled_from([*"aZé_'&;.!,<>#9 \n\t🙂日ا\u0301\u200d’“", "&amp;", "'S", "dog", "&#39;"]),
    max_size=30,
).map("".join)

Check = Callable[[str], None]


def agreement(theirs: Any, ours: Tokenizer) -> Check:
    def check(text: str) -> None:
        expected = theirs([text]).numpy()
        padded = ours([text], pad=True)
        assert padded.dtype == np.int64
        assert padded.shape == (1, ours.context_length)
        assert np.array_equal(padded, expected), (text, padded, expected)
        short = ours([text], pad=False)
        assert np.array_equal(short[0], padded[0, : short.shape[1]])
        assert len(set(padded[0, short.shape[1] :])) <= 1  # the rest is padding

    return check


@pytest.fixture(scope="module")
def clip_check(clip_folder: ModelFolder) -> Check:
    ours = Tokenizer(clip_folder.path / TOKENIZER, clip_folder.text_config)
    return agreement(tokenize, ours)


OPTIONS: dict[str, dict[str, Any]] = {
    "whitespace": {},
    "canonicalize": {"clean": "canonicalize"},
    "strip_sep": {"clean": "lower", "strip_sep_token": True},
}


def hf_pair(path: Path, options: dict[str, Any]) -> tuple[HFTokenizer, Tokenizer]:
    make_bert(path)
    text_config = {
        "hf_tokenizer_name": ".",
        "context_length": HF_CONTEXT_LENGTH,
        "tokenizer_kwargs": options,
    }
    (path / CONFIG).write_text(json.dumps({"model_cfg": {"text_cfg": text_config}}))
    theirs = HFTokenizer(str(path), context_length=HF_CONTEXT_LENGTH, **options)
    write_tokenizer(theirs, path, HF_CONTEXT_LENGTH)
    return theirs, Tokenizer(path / TOKENIZER, text_config)


@pytest.fixture(scope="module", params=OPTIONS)
def hf_check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Check:
    return agreement(*hf_pair(tmp_path_factory.mktemp("bert"), OPTIONS[request.param]))


@pytest.mark.parametrize("text", CORPUS, ids=lambda text: ascii(text[:20]))
def test_corpus_as_clip(text: str, clip_check: Check) -> None:
    clip_check(text)


@pytest.mark.parametrize("text", CORPUS, ids=lambda text: ascii(text[:20]))
def test_corpus_as_hugging_face(text: str, hf_check: Check) -> None:
    hf_check(text)


@settings(max_examples=150, deadline=None)
@given(TEXTS | FRAGMENTS)
@example("don'ſ a\u0345b \u0345")
def test_any_text_as_clip(clip_check: Check, text: str) -> None:
    clip_check(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS | FRAGMENTS)
def test_any_text_as_hugging_face(hf_check: Check, text: str) -> None:
    hf_check(text)


def test_the_cleanings_differ(tmp_path: Path) -> None:
    """Otherwise the comparisons above would say little."""
    text = "a_dog, RED! [SEP]"
    rows = set()
    for name, options in OPTIONS.items():
        (tmp_path / name).mkdir()
        _, tokenizer = hf_pair(tmp_path / name, options)
        rows.add(tuple(tokenizer([text], pad=True)[0]))
    assert len(rows) == len(OPTIONS)


def test_a_batch_is_as_long_as_its_longest_text(clip_folder: ModelFolder) -> None:
    tokenizer = Tokenizer(clip_folder.path / TOKENIZER, clip_folder.text_config)
    texts = ["dog", "", "two red boats"]
    rows = tokenizer(texts, pad=False)
    assert rows.shape == (3, 5)  # three words between the two marks
    for text, row in zip(texts, rows, strict=True):
        alone = tokenizer([text], pad=False)[0]
        assert np.array_equal(row, [*alone, *[0] * (5 - len(alone))])
    assert tokenizer([], pad=False).shape[0] == 0
    assert tokenizer([], pad=True).shape == (0, 77)


@pytest.mark.parametrize("text", ["\ud800", "dog \udcff.jpg", "\udfff\ud800"], ids=ascii)
def test_lone_surrogates_are_question_marks(text: str, clip_folder: ModelFolder) -> None:
    tokenizer = Tokenizer(clip_folder.path / TOKENIZER, clip_folder.text_config)
    readable = "".join("?" if "\ud800" <= c <= "\udfff" else c for c in text)
    expected = tokenize([readable]).numpy()
    assert np.array_equal(tokenizer([text], pad=True), expected)


def test_punctuation_of_canonicalize(tmp_path: Path) -> None:
    _, tokenizer = hf_pair(tmp_path, OPTIONS["canonicalize"])
    plain = tokenizer(["two red boats"], pad=True)
    noisy = string.punctuation.replace("_", "")
    assert np.array_equal(tokenizer([f"{noisy} Two_RED b{noisy}oats"], pad=True), plain)


@pytest.mark.parametrize("content", ["", "{}", "not json\nat all", '{"model": {"type": "?"}}'])
def test_a_broken_file(content: str, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER).write_text(content)
    with model_error(str(tmp_path / TOKENIZER)):
        Tokenizer(tmp_path / TOKENIZER, {})


def test_unknown_cleaning(clip_folder: ModelFolder) -> None:
    with model_error("polish"):
        Tokenizer(clip_folder.path / TOKENIZER, {"tokenizer_kwargs": {"clean": "polish"}})


def test_a_tokenizer_that_cannot_be_copied_leaves_no_file(tmp_path: Path) -> None:
    hf_pair(tmp_path, {})
    config = json.loads((tmp_path / CONFIG).read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    other = HFTokenizer(str(tmp_path), context_length=HF_CONTEXT_LENGTH, clean="lower")
    with model_error(str(tmp_path), "tokenizer"):
        write_tokenizer(other, tmp_path, HF_CONTEXT_LENGTH)
    assert not (tmp_path / TOKENIZER).exists()
