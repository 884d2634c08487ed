"""The vectors of an index on a server, kept at the state of its catalog."""

from __future__ import annotations

import threading
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import Catalog, StoreState, decode
from searchengine.filters import Filters
from searchengine.index.snapshot import require_model
from searchengine.types import Embeddings, EncoderSpec
from searchengine.vectors import Among, VectorStore

_BLOCKS: Final = 16
"""Blocks of embeddings, of some 2,000 each, that are sent before the state is recorded."""


class Mirror:
    """A vector store that follows the catalog, while that holds the embeddings of one encoder.

    The catalog remembers how far the store has come: what was sent twice is there once, and what
    was not sent, whoever failed to, is sent by the next one to look. Safe to share between
    threads.
    """

    def __init__(self, catalog: Catalog, store: VectorStore, spec: EncoderSpec, folder: Path):
        self._catalog, self._store, self._spec, self._folder = catalog, store, spec, folder
        self._seen = ""  # stamp of the catalog's state that the store is known to be at
        self._is_made = False
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """What the store is called."""
        return self._store.name

    def follow(self) -> VectorStore:
        """The store, at the state of the catalog, or on its way there if that is far.

        Raises:
            IndexModelError: the catalog holds the embeddings of another encoder by now.
            StoreError: the store cannot be used.
        """
        with self._lock:
            with self._catalog.reading() as rows:
                stamp = rows.stamp()
                if stamp == self._seen:
                    return self._store
                require_model(rows, self._spec, self._folder)
                state = rows.store_state(self.name)
            if self._make():  # a server that lost everything
                self.save()
            elif state.stamp == stamp:
                self._seen = stamp
            else:
                self._fill(patience=1)
            return self._store

    def search(
        self, queries: Embeddings, k: int, among: Among | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search the store; see `VectorStore.search`."""
        return self.follow().search(queries, k, among)

    def can_apply(self, filters: Filters) -> bool:
        """Tell whether the store applies these filters by itself."""
        return self._store.can_apply(filters)

    def prepare(self) -> None:
        """Bring all to the store before the catalog takes these embeddings for the present ones."""
        with self._lock:
            self._make()
            self._fill()

    def save(self) -> bool:
        """Bring all to the store, have it build what makes searching fast, and let others see it.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            self.prepare()
            self._store.settle()
        return True

    def _fill(self, patience: int | None = None) -> None:
        """Send what the store lacks: all, or at most `patience` times some ten thousand embeddings.

        Does nothing while another process is doing so.
        """
        with self._catalog.alone(f"store-{sha256(self.name.encode()).hexdigest()[:12]}") as mine:
            while mine and patience != 0 and not self._send():
                patience = None if patience is None else patience - 1

    def problems(self) -> list[str]:
        """Say in what the store differs from a catalog that it should be at the state of."""
        with self._lock:
            self._make()
        with self._catalog.reading() as rows:
            stamp, count = rows.stamp(), rows.count()
            state = rows.store_state(self.name)
        there = self._store.count()
        if state.stamp != stamp or there == count:
            return []
        return [f"{self.name} holds {there} embeddings, the catalog {count}"]

    def repair(self) -> list[str]:
        """Make the store anew where it differs; says so."""
        if not self.problems():
            return []
        self.drop()
        self.save()
        return [f"filled {self.name} anew with {self._store.count()} vectors"]

    def drop(self) -> None:
        """Remove the store and what the catalog remembers of it."""
        self._store.drop()
        with self._catalog.writing() as rows:
            rows.forget_store(self.name)
        self._seen, self._is_made = "", False

    def close(self) -> None:
        """End the connection."""
        self._store.close()

    def _make(self) -> bool:
        """Make sure that the store is there; True where it had to be made."""
        if self._is_made:
            return False
        is_new = self._store.ready()
        if is_new:
            with self._catalog.writing() as rows:
                rows.set_store_state(self.name, StoreState())
        self._is_made = True
        return is_new

    def _send(self) -> bool:
        """Send some of what the store lacks and record that; True when it lacks nothing more."""
        with self._catalog.reading() as rows:
            stamp = rows.stamp()
            state = rows.store_state(self.name)
            if state.stamp == stamp:
                self._seen = stamp
                return True
            # Both as of one moment: an embedding that came after another of the same image was
            # dropped is never sent before that is known.
            gone, dropped = rows.dropped_after(state.dropped)
            blocks = list(islice(rows.written_after(state.seq, self._spec), _BLOCKS))
        self._store.delete(gone)
        for block in blocks:
            embeddings = decode(block.vectors, self._spec.dim)
            self._store.upsert(block.ids, embeddings, block.facts)
        is_all = len(blocks) < _BLOCKS
        seq = blocks[-1].seq if blocks else state.seq
        with self._catalog.writing() as rows:
            rows.set_store_state(self.name, StoreState(stamp if is_all else "", seq, dropped))
        if is_all:
            self._seen = stamp
        return is_all
