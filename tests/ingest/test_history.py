"""Whatever happens to a folder, a run makes the index equal to it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from searchengine import images
from tests.ingest.collection import Collection, counts
from tests.pictures import jpeg


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens to a folder, a run makes the index equal to it."""

    names = st.sampled_from([f"{folder}{n}.jpg" for folder in ("", "a/", "b/") for n in range(3)])

    @initialize()
    def start(self) -> None:
        import tempfile

        self.home = tempfile.TemporaryDirectory()
        self.photos = Collection(Path(self.home.name))
        for name in ("a", "b"):
            (self.photos.folder / name).mkdir()
        self.contents: dict[str, int] = {}
        self.clock = 10**18

    def _write(self, name: str, content: bytes) -> None:
        path = self.photos.folder / name
        path.write_bytes(content)
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))

    @rule(name=names, number=st.integers(0, 5))
    def write(self, name: str, number: int) -> None:
        self._write(name, jpeg(number))
        self.contents[name] = number

    @rule(name=names)
    def spoil(self, name: str) -> None:
        self._write(name, b"not a picture")
        self.contents[name] = -1

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.contents.pop(name, None) is not None:
            (self.photos.folder / name).unlink()

    @rule(source=names, to=names)
    def move(self, source: str, to: str) -> None:
        if source in self.contents and source != to:
            (self.photos.folder / source).replace(self.photos.folder / to)
            self.contents[to] = self.contents.pop(source)

    @rule()
    def run(self) -> None:
        report = self.photos.run()
        good = {name: number for name, number in self.contents.items() if number >= 0}
        assert self.photos.paths() == good.keys()
        assert self.photos.failed().keys() == self.contents.keys() - good.keys()
        assert sum(counts(report).values()) - report.removed == len(self.contents)
        for name, number in good.items():
            path = self.photos.folder / "reference.jpg"
            path.write_bytes(jpeg(number))
            pixels = self.photos.encoder.preprocess(images.read(str(path), min_side=4).image)
            path.unlink()
            expected = self.photos.encoder.encode_images(pixels[np.newaxis])[0]
            assert np.allclose(self.photos.embedding(name), expected, atol=1e-3)

    @invariant()
    def is_sound(self) -> None:
        if hasattr(self, "photos"):
            assert self.photos.index.check() == []

    def teardown(self) -> None:
        if hasattr(self, "photos"):
            self.photos.index.close()
            self.home.cleanup()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
