"""A connection to a Milvus, and its failures in plain words."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from searchengine.errors import StoreError
from searchengine.scale.milvus import lite
from searchengine.scale.milvus.address import MilvusAddress

CONNECT_S: Final = 10.0
_HINTS: Final = (
    (("auth check failure", "unauthenticated", "authorization in header"),
     "check the user and the password in the address"),
    (("permission deny", "privilege"), "give this user the rights, or use another"),
    (("database:", "database not found"), "make the database, or name another in the address"),
    (("quota exceeded", "no space left", "disk full", "file too large"),
     "free some space or raise its quota, then run the same command again"),
    (("memory",), "give the server more memory, then run the same command again"),
    (("unavailable", "fail connecting", "failed to connect", "deadline", "timeout", "closed"),
     "check that the server is running and can be reached from here"),
)  # fmt: skip


class MilvusConnection:
    """Opens when it is first used. Safe in many threads."""

    def __init__(self, address: MilvusAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The MilvusClient.

        Raises:
            StoreError: pymilvus is not installed, or the server cannot be reached.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> Any:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise StoreError(
                f"{self.address.shown} needs pymilvus; run: pip install 'searchengine[milvus]'"
            ) from error
        # They print every failure, with its traceback.
        for name in ("pymilvus", "milvus_lite", "grpc"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        address = self.address
        uri = lite.start(address.path, self) if address.path else address.uri
        token = f"{address.user}:{address.password}" if address.user else ""
        try:
            with self.told():
                return MilvusClient(
                    uri=uri,
                    token=token,
                    db_name=address.database,
                    timeout=CONNECT_S,
                    dedicated=True,
                )
        except StoreError:
            if address.path:
                lite.stop(address.path, self)
            raise

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what goes wrong inside into one StoreError that says where, and what to do."""
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            said = [str(each.details()) for each in _behind(error) if isinstance(each, grpc.Call)]
            raise StoreError(self._explained([error.message, *said][-1] or str(error))) from error
        except grpc.RpcError as error:
            said = [str(error.details()), str(error.code())] if isinstance(error, grpc.Call) else []
            raise StoreError(self._explained(": ".join(said) or str(error))) from error
        except ValueError as error:  # gRPC's word for a connection that was closed
            raise StoreError(self._explained(str(error))) from error

    def _explained(self, reason: str) -> str:
        reason = " ".join(reason.split()).rstrip(".")
        if self.address.password:
            reason = reason.replace(self.address.password, "***")
        lower = reason.lower()
        hints = (hint for words, hint in _HINTS if any(word in lower for word in words))
        hint = next(hints, "see the log of the server")
        return f"{self.address.shown}: {reason[:300]}; {hint}"

    def close(self) -> None:
        """End it; the next use opens it again."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
                if self.address.path:
                    lite.stop(self.address.path, self)


def _behind(error: BaseException) -> list[BaseException]:
    """What an error came from; pymilvus says of some that they came from themselves."""
    found: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and cause not in (error, *found):
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
