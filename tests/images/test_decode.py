"""Pictures come out as the eye sees them; whatever is wrong with a file is an ImageError."""

from __future__ import annotations

import importlib
import io
import os
import random
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

from searchengine.errors import ImageError
from searchengine.images import UnreadableFolder, decode, digest, read, walk
from searchengine.images.convert import flatten, stretch
from tests.hostile import huge_png, logo, make_hostile_folder
from tests.pictures import jpeg

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")

pillow_heif.register_heif_opener()


def corners(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Red, green, blue and white quarters: no turn or mirroring leaves it as it is."""
    image = Image.new("RGB", size, "white")
    width, height = size[0] // 2, size[1] // 2
    image.paste("red", (0, 0, width, height))
    image.paste("green", (width, 0, 2 * width, height))
    image.paste("blue", (0, height, width, 2 * height))
    return image


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    if format_ in ("JPEG", "WEBP", "AVIF", "HEIF"):
        options = {"quality": 95, **options}
    image.save(file, format_, **options)
    return file.getvalue()


def decoded(content: bytes, min_side: int = 64) -> Image.Image:
    image = decode(io.BytesIO(content), min_side=min_side).image
    assert type(image) is Image.Image
    assert image.mode == "RGB"
    assert not image.info
    return image


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(pixels(one) - pixels(other)).mean())


# --- formats


@pytest.mark.parametrize("format_", FORMATS)
def test_formats(format_: str, tmp_path: Path) -> None:
    path = tmp_path / "name says nothing.jpg"
    path.write_bytes(encode(corners(), format_))
    picture = read(str(path), min_side=64)
    assert (picture.info.format, picture.info.width, picture.info.height) == (format_, 96, 64)
    assert difference(picture.image, corners()) < 3


@pytest.mark.parametrize("format_", ["PPM", "TGA", "ICO", "PCX", "JPEG2000", "EPS"])
def test_other_plugins_stay_off(format_: str) -> None:
    with pytest.raises(ImageError, match="not a picture"):
        decode(io.BytesIO(encode(corners(), format_)), min_side=64)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_the_first_of_many_frames(format_: str) -> None:
    frames = [Image.new("RGB", (96, 64), color) for color in ("green", "red")]
    content = encode(corners(), format_, save_all=True, append_images=frames)
    assert difference(decoded(content), corners()) < 3


def test_a_stereo_or_motion_jpeg_is_a_jpeg() -> None:
    content = encode(corners(), "MPO", save_all=True, append_images=[corners()])
    assert decode(io.BytesIO(content), min_side=64).info.format == "JPEG"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    for format_ in ("JPEG", "PNG", "GIF", "TIFF"):
        assert decoded(encode(Image.new("RGB", size), format_)).size == size


def test_raw_by_its_preview(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / os.fsdecode(b"\xff.DNG")
    path.write_bytes(dng(encode(corners(), "JPEG"), orientation=6))
    picture = read(str(path), min_side=48)
    assert difference(picture.image, corners().transpose(Image.Transpose.ROTATE_270)) < 3
    info = picture.info
    assert (info.width, info.height, info.format, info.camera) == (48, 64, "DNG", "Acme")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match="RAW"):
        read(str(path), min_side=16)


def dng(jpeg: bytes, orientation: int) -> bytes:
    """A camera RAW file of 64 x 48 grey sensor values, with a preview."""
    jpeg += bytes(len(jpeg) % 2)
    sensor = bytes(64 * 48 * 2)
    preview_at, sensor_at = 8, 8 + len(jpeg)
    sensor_directory_at = sensor_at + len(sensor)
    directory = tiff_directory(
        sensor_directory_at,
        {254: 0, 256: 64, 257: 48, 258: 16, 259: 1, 262: 32803, 273: sensor_at, 277: 1}
        | {278: 48, 279: len(sensor), 33421: b"\2\0\2\0", 33422: b"\0\1\1\2"},
    )
    main_at = sensor_directory_at + len(directory)
    main = tiff_directory(
        main_at,
        {254: 1, 256: 96, 257: 64, 258: 8, 259: 7, 262: 6, 271: b"Acme", 273: preview_at}
        | {274: orientation, 277: 3, 278: 64, 279: len(jpeg), 330: sensor_directory_at}
        | {50706: b"\1\4\0\0"},
    )
    return struct.pack("<2sHI", b"II", 42, main_at) + jpeg + sensor + directory + main


def tiff_directory(at: int, tags: dict[int, int | bytes]) -> bytes:
    """The tags as a little-endian TIFF directory; every value fits into its four bytes."""
    kinds = {271: (2, 4), 33421: (3, 2)}
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        if isinstance(value, int)
        else struct.pack("<HHI4s", tag, *kinds.get(tag, (1, 4)), value)
        for tag, value in sorted(tags.items())
    )
    return struct.pack("<H", len(tags)) + entries + bytes(4)


# --- orientation


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation(format_: str, orientation: int) -> None:
    upright = corners((640, 320))
    turn = TURNED[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(stored, format_, exif=exif.tobytes())
    picture = decode(io.BytesIO(content), min_side=80)
    assert picture.image.size == (320, 160)
    assert (picture.info.width, picture.info.height) == (640, 320)
    assert difference(picture.image, upright.reduce(2)) < 3


def test_heif_turns_by_its_own_box_not_by_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(corners(), "HEIF", exif=exif)  # an object: the plugin writes no rotation box
    assert b"irot" not in content
    assert difference(decoded(content), corners()) < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(decoded(encode(corners(), "JPEG", exif=exif)), corners()) < 3


# --- transparency


def contrast(image: Image.Image) -> float:
    grey = pixels(image.convert("L"))
    return float(np.ptp(grey))


@pytest.mark.parametrize("level", [0, 100, 200, 255])
def test_a_logo_on_transparency_stays_visible(level: int) -> None:
    grey = logo((level, level, level))
    for image in (grey, grey.convert("LA"), grey.quantize(4)):
        assert contrast(decoded(encode(image, "PNG"))) > 50
    for format_ in ("WEBP", "GIF", "TIFF", "AVIF", "HEIF"):
        assert contrast(decoded(encode(grey, format_))) > 50, format_


@pytest.mark.parametrize(("mode", "key"), [("1", 0), ("L", 40), ("RGB", (40, 40, 40)), ("P", 0)])
def test_a_transparent_colour(mode: str, key: object) -> None:
    image = Image.new(mode, (32, 32), key)
    if mode == "P":
        image.putpalette([40, 40, 40, 0, 99, 0])
    ImageDraw.Draw(image).rectangle((0, 0, 15, 31), fill={"P": 1, "RGB": (0, 99, 0)}.get(mode, 90))
    result = decoded(encode(image, "PNG", transparency=key))
    assert result.getpixel((31, 0)) in ((255, 255, 255), (128, 128, 128))
    assert result.getpixel((0, 0)) != result.getpixel((31, 0))


def test_opaque_and_invisible_pictures() -> None:
    white = Image.new("RGBA", (8, 8), (255, 255, 255, 255))
    assert decoded(encode(white, "PNG")).getextrema() == ((255, 255),) * 3
    assert decoded(encode(Image.new("RGBA", (8, 8)), "PNG")).getextrema() == ((255, 255),) * 3


@given(arrays(np.uint8, (5, 7, 4)))
def test_blending_equals_its_definition(rgba: NDArray[np.uint8]) -> None:
    alpha = rgba[..., 3:].astype(float) / 255
    result = pixels(flatten(Image.fromarray(rgba)))
    errors = [
        np.abs(rgba[..., :3] * alpha + ground * (1 - alpha) - result).max() for ground in (255, 128)
    ]
    assert min(errors) <= 1


def test_hidden_colours_do_not_bleed_when_reduced() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 33, 64))
    red, green, _ = decoded(encode(image, "PNG"), min_side=8).split()
    assert difference(red, green) == 0


# --- depth


def ramp(top: float, dtype: str) -> NDArray[np.generic]:
    return np.linspace(0, top, 64 * 48).reshape(48, 64).astype(dtype)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_keeps_its_range(format_: str, bits: int) -> None:
    image = Image.fromarray(ramp(2**bits - 1, "uint16"))
    expected = np.linspace(0, 255, 64 * 48).reshape(48, 64)
    assert np.abs(pixels(decoded(encode(image, format_)))[..., 0] - expected).max() < 1.1


def test_a_dark_picture_stays_dark() -> None:
    image = Image.fromarray(np.full((8, 8), 20_000, "uint16"))
    assert decoded(encode(image, "PNG")).getpixel((0, 0)) == (78, 78, 78)


def test_big_endian_and_signed_grey() -> None:
    big = Image.frombytes("I;16B", (64, 48), ramp(65535, ">u2").tobytes())
    assert decoded(encode(big, "TIFF")).getextrema()[0] == (0, 255)
    assert stretch(Image.fromarray(ramp(2**31 - 1, "int32") - 2**30)).getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.2, 0.4], [51, 102]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 500.0, 1000.0], [0, 128, 255]),
        ([7.0, 7.0], [0, 0]),
        ([np.nan, 0.0, 1.0, np.inf], [0, 0, 255, 0]),
        ([np.nan, np.nan], [0, 0]),
        ([-3e38, 3e38], [0, 255]),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert pixels(decoded(encode(image, "TIFF")))[0, :, 0].tolist() == expected


@given(arrays(np.float32, (2, 3)))
def test_any_floats_become_bytes(values: NDArray[np.float32]) -> None:
    assert stretch(Image.fromarray(values)).mode == "L"


# --- colour


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk(format_: str) -> None:
    result = decoded(encode(corners().convert("CMYK"), format_))
    assert difference(result, corners()) < 5


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_other_colour_spaces(mode: str) -> None:
    lab = ImageCms.profileToProfile(
        corners(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    image = lab if mode == "LAB" else corners().convert(mode)
    assert image is not None
    assert difference(decoded(encode(image, "TIFF")), corners()) < 5


def test_an_embedded_profile_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    red = Image.new("RGB", (8, 8), "red")
    assert decoded(encode(red, "PNG", icc_profile=profile)).getpixel((0, 0)) == (255, 0, 0)
    r, g, _ = decoded(encode(red, "PNG", icc_profile=swapped)).getpixel((0, 0))  # type: ignore[misc]
    assert r < 5
    assert g > 250


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_a_profile_that_does_not_fit_is_ignored(mode: str) -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = decoded(encode(corners().convert(mode), "TIFF"))
    for profile in (b"junk", rgb[:200], rgb):
        content = encode(corners().convert(mode), "TIFF", icc_profile=profile)
        assert difference(decoded(content), plain) < 1


# --- size


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "HEIF", "TIFF"])
@pytest.mark.parametrize("size", [(1000, 700), (700, 1000), (449, 448), (447, 900), (3000, 300)])
def test_reduced_but_not_too_far(format_: str, size: tuple[int, int]) -> None:
    picture = decode(io.BytesIO(encode(corners(size), format_)), min_side=112)
    assert (picture.info.width, picture.info.height) == size
    short = min(picture.image.size)
    assert short >= min(*size, 224)
    assert short < 448 or format_ == "JPEG"
    assert max(picture.image.size) / short == pytest.approx(max(size) / min(size), rel=0.02)


def test_a_decompression_bomb_is_refused_from_its_header() -> None:
    with pytest.raises(ImageError, match=r"20000 x 20000 is 400 megapixels .* limit is 256"):
        decode(io.BytesIO(huge_png(20_000)), min_side=224)


def jpeg_header(side: int, progressive: bool) -> bytes:
    """A JPEG whose header claims `side` x `side` pixels."""
    content = encode(corners(), "JPEG", progressive=progressive)
    marker = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return content[: marker + 5] + struct.pack(">HH", side, side) + content[marker + 9 :]


def test_bounds_count_what_is_decoded() -> None:
    with pytest.raises(ImageError, match="limit"):
        decode(io.BytesIO(jpeg_header(20_000, progressive=True)), min_side=224)
    picture = decode(io.BytesIO(jpeg_header(20_000, progressive=False)), min_side=224)
    assert picture.info.width == 20_000  # 6 megapixels at an eighth


def test_large_pictures_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("searchengine.images.decode")  # not its function
    monkeypatch.setattr(module, "LARGE", 10)
    inside = threading.Lock()
    simplify = module.simplify

    def alone(image: Image.Image) -> Image.Image:
        assert inside.acquire(blocking=False), "two at once"
        try:
            return simplify(image)
        finally:
            inside.release()

    monkeypatch.setattr(module, "simplify", alone)
    content = encode(corners((600, 600)), "PNG")
    with ThreadPoolExecutor(4) as pool:
        for image in pool.map(decoded, [content] * 12):
            assert image.size == (150, 150)


# --- broken files


def test_reasons(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"

    def reason() -> str:
        with pytest.raises(ImageError) as caught:
            read(str(path), min_side=224)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert reason() == "no such file or directory"
    path.write_bytes(b"")
    assert reason() == "empty file"
    with pytest.raises(ImageError, match="empty file"):
        digest(str(path))
    path.write_text("Schöne Grüße, " * 10)
    assert reason() == "not a picture (its first bytes are text)"
    path.write_bytes(b"\x7fELF\x02\x01\x01\x00rest")
    assert reason().startswith("not a picture in a known format (its first bytes are 7f 45 4c 46")
    path.write_bytes(b"\xff\xfe")
    assert "first bytes are ff fe" in reason()
    path.write_bytes(encode(corners(), "JPEG")[:-400])
    assert reason() == "truncated file"
    path.unlink()
    path.mkdir()
    assert reason() == "a folder, not a file"
    path.rmdir()
    os.mkfifo(path)
    assert reason() == "not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(encode(corners(), "JPEG"))
    (tmp_path / "x.jpg").chmod(0)
    with pytest.raises(ImageError, match="permission denied"):
        read(str(tmp_path / "x.jpg"), min_side=224)


def test_a_bomb_in_the_metadata() -> None:
    content = encode(corners(), "PNG")
    text = b"Comment\0\1\0\0\0" + zlib.compress(bytes(80_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"iTXt" + text))
    with pytest.raises(ImageError):
        decode(io.BytesIO(content[:33] + chunk + content[33:]), min_side=64)


def test_warnings_of_pillow_stay_inside() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\x20\0\0\0"
    content = encode(corners(), "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode(io.BytesIO(content), min_side=64).info.camera is None
    assert not caught


def survives(content: bytes) -> None:
    reason = ""
    try:
        decode(io.BytesIO(content), min_side=16)
    except ImageError as error:
        reason = str(error)
    assert len(reason) < 300
    assert "\n" not in reason


def valid_files() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Acme", 6
    files = {format_: encode(corners(), format_, exif=exif) for format_ in FORMATS}
    files["progressive"] = encode(corners(), "JPEG", progressive=True, exif=exif)
    files["CMYK"] = encode(corners().convert("CMYK"), "JPEG")
    files["palette"] = encode(logo((9, 9, 9)).resize((96, 64)).quantize(8), "PNG")
    files["grey16"] = encode(Image.fromarray(ramp(65535, "uint16")), "PNG")
    files["animation"] = encode(corners(), "GIF", save_all=True, append_images=[logo((1, 2, 3))])
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg"):
        files[compression] = encode(corners(), "TIFF", compression=compression, exif=exif)
    return files


VALID = valid_files()


@pytest.mark.parametrize("kind", VALID)
def test_any_truncation_is_survived(kind: str) -> None:
    content = VALID[kind]
    for cut in sorted(random.Random(kind).sample(range(len(content)), 40)):
        survives(content[:cut])


@pytest.mark.parametrize("kind", VALID)
def test_any_damage_is_survived(kind: str) -> None:
    draw = random.Random(kind)
    for _ in range(60):
        content = bytearray(VALID[kind])
        for _ in range(draw.choice((1, 3, 20))):
            # Headers matter more than pixels: half of the damage goes to the first bytes.
            reach = len(content) if draw.random() < 0.5 else min(300, len(content))
            content[draw.randrange(reach)] = draw.randrange(256)
        survives(bytes(content))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        (
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"RIFF",
            b"\0\0\0\x18ftypheic",
            b"\0\0\0\x18ftypavif",
            b"",
        )
    ),
    st.binary(max_size=200),
)
def test_noise_is_survived(magic: bytes, noise: bytes) -> None:
    survives(magic + noise)


# --- the whole


def test_digest_covers_the_whole_file(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for name, middle in zip(names, (b"\0", b"\1", b"\0"), strict=True):
        (tmp_path / name).write_bytes(bytes(2**20) + middle + bytes(2**20))
    one, two, three = (digest(str(tmp_path / name)) for name in names)
    assert one == three != two
    assert len(one) == 16


def test_the_hostile_folder(tmp_path: Path) -> None:
    good = [encode(corners((400, 300)), "JPEG"), encode(corners((64, 64)), "JPEG")]
    expected = make_hostile_folder(tmp_path, good)
    found = list(walk(str(tmp_path)))
    assert not any(isinstance(item, UnreadableFolder) for item in found)
    assert {item.path for item in found} == expected.good | expected.bad
    assert len(found) == len(expected.good) + len(expected.bad)
    for path in expected.good:
        image = read(str(tmp_path / path), min_side=224).image
        assert contrast(image) > 50 or path == "animated.gif"
    for path in expected.bad:
        with pytest.raises(ImageError):
            read(str(tmp_path / path), min_side=224)
    red, blue = tmp_path / "twin red.bmp", tmp_path / "twin blue.bmp"
    assert digest(str(red)) != digest(str(blue))
    assert red.read_bytes()[: 2**20] == blue.read_bytes()[: 2**20]
    assert red.read_bytes()[-(2**20) :] == blue.read_bytes()[-(2**20) :]


def test_a_picture_inside_another_file(tmp_path: Path) -> None:
    content = jpeg(3)
    archive = tmp_path / "shard.tar"
    archive.write_bytes(b"x" * 100 + content + b"y" * 100)
    found = read(str(archive), min_side=32, span=(100, len(content)))
    expected = decode(io.BytesIO(content), min_side=32)
    assert found.image.tobytes() == expected.image.tobytes()
