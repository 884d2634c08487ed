"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Report:
    """What a run found.

    Every picture file counts once, as added, changed, moved, unchanged or failed; `removed` are
    images whose file is gone. `failed` includes those skipped because they failed before.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def images_per_second(self) -> float:
        """Files read, decoded or recognised, a second."""
        read = self.added + self.changed + self.moved
        return read / self.seconds if self.seconds else 0.0
