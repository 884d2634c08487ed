"""Where an index keeps what is not in its folder: its catalog, its vectors."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from searchengine.errors import IndexFolderError
from searchengine.vectors import appearing

PLACES: Final = "index.json"
_CATALOG: Final = "catalog.db"


def default_catalog(folder: Path) -> Path | str:
    """The catalog of a new index for which none is named: a SQLite file in its folder."""
    return folder / _CATALOG


@dataclass(frozen=True)
class Places:
    """The catalog of an index, a file or the URL of a database, and its vector store.

    The folder remembers them in `index.json`, for its owner's eyes only: a URL may hold a password.
    Where there is no such file, both are in the folder.
    """

    catalog: Path | str
    store: str | None = None
    """Address of a server; None where a snapshot in the folder is searched."""

    @classmethod
    def of(cls, folder: Path) -> Places:
        """Those of an index, or of one that is still to be made in the folder.

        Raises:
            IndexFolderError: what the folder remembers cannot be read.
        """
        path = folder / PLACES
        try:
            known = json.loads(path.read_text("utf-8"))
            return cls(known.get("catalog") or folder / _CATALOG, known.get("store"))
        except (FileNotFoundError, NotADirectoryError):
            return cls(folder / _CATALOG)
        except (OSError, ValueError, AttributeError) as error:
            raise IndexFolderError(
                f"{path} cannot be read ({error}); it names the catalog and the vector store of "
                "the index: mend it, or delete it and name them again with "
                f"`searchengine index --index {folder} --catalog URL --store ADDRESS`"
            ) from error

    @staticmethod
    def file(folder: Path) -> Path:
        """The file that stands for an index: where it is another one, so is the index."""
        named = folder / PLACES
        return named if named.exists() else folder / _CATALOG

    def remember(self, folder: Path) -> None:
        """Write them where `of` reads them.

        Raises:
            OSError: the folder cannot be written.
        """
        catalog = self.catalog if isinstance(self.catalog, str) else None
        known = {"catalog": catalog, "store": self.store}
        told = {key: value for key, value in known.items() if value is not None}
        path = folder / PLACES
        if not told:
            path.unlink(missing_ok=True)
            return
        with appearing(path) as file:
            os.chmod(file.fileno() if os.chmod in os.supports_fd else file.name, 0o600)
            file.write(json.dumps(told, indent=2).encode() + b"\n")
