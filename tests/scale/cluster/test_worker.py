"""What a machine of a cluster makes of files that it cannot read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchengine.errors import ClusterError
from tests.pictures import fill
from tests.scale.parts import require


def read(root: Path, path: str, offset: int | None = None) -> Any:
    require("pyarrow", "ray")
    from searchengine.scale.cluster.worker import Reader

    task = {"number": 3, "root": bytes(root), "path": path.encode(), "offset": offset}
    return Reader(8, np.asarray).read({**task, "size": 10, "known": []})


def test_a_file_that_is_gone_is_a_reason(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    assert read(tmp_path, "0000.jpg").digest
    row = read(tmp_path, "gone.jpg")
    assert (row.number, row.digest, row.array) == (3, b"", None)
    assert row.reason
    assert read(tmp_path, "gone.tar/a.jpg", 512).reason


@pytest.mark.parametrize("offset", [None, 512])
def test_where_the_drive_is_missing_nothing_is_said_of_the_file(
    tmp_path: Path, offset: int | None
) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ClusterError, match=f"sees nothing in {root}; mount it"):
            read(root, "a.jpg", offset)
