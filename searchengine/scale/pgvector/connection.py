"""Connections to a PostgreSQL with pgvector, and its failures in plain words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from searchengine.errors import StoreError
from searchengine.scale.pgvector.address import PgVectorAddress

if TYPE_CHECKING:
    import psycopg

Result = TypeVar("Result")
Connection = Any  # psycopg.Connection[tuple[Any, ...]], which needs psycopg to be named

CONNECT_S: Final = 10
WAIT_S: Final = 120
OLDEST: Final = (0, 8)  # that goes on where a filter left too few
WIDTH: Final = 256  # HNSW's ef
SCANNED: Final = 40_000  # vectors that are looked at to find enough which pass a filter
_HINTS: Final = {
    "28": "check the user and the password in the address",
    "3D": "make the database, or name another in the address",
    "42501": "give this user the rights, or use another",
    "42P01": "run `searchengine index` again; it fills the store anew",
    "53100": "free some space, then run the same command again",
    "54": "free some space, then run the same command again",
    "58030": "free some space, then run the same command again",
    "57014": f"it took longer than {WAIT_S} s; look at what else the server is doing",
    "53": "the server has too little; see its log",
    "XX001": "see the log of the server",
}
_UNREACHABLE: Final = "check that the server is running and can be reached from here"


class PgVectorConnection:
    """As many connections as are used at the same time. Safe in many threads."""

    def __init__(self, address: PgVectorAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self.schema = ""
        """Where tables are made, as SQL writes it; known while `run` runs."""

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do something with a connection; once more, where an old one turns out to be dead.

        Raises:
            StoreError: the server cannot be reached, or refuses.
        """
        try:
            import psycopg
        except ImportError as error:
            raise StoreError(
                f"{self.address.shown} needs psycopg; run: pip install 'searchengine[postgres]'"
            ) from error
        try:
            with self._lock:
                old = self._idle.pop() if self._idle else None
            if old is not None:
                try:
                    return self._done(old, work)
                except psycopg.OperationalError:
                    if not old.closed:
                        raise
            return self._done(self._open(), work)
        except psycopg.Error as error:
            raise StoreError(self._explained(error)) from error

    def _done(self, connection: Connection, work: Callable[[Connection], Result]) -> Result:
        try:
            return work(connection)
        finally:
            if not connection.closed:
                with self._lock:
                    self._idle.append(connection)

    def _open(self) -> Connection:
        import psycopg

        connection = psycopg.connect(
            self.address.conninfo,
            autocommit=True,
            prepare_threshold=None,  # poolers between here and there lose prepared statements
            connect_timeout=CONNECT_S,
            keepalives_idle=30,
            tcp_user_timeout=1000 * WAIT_S,
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: Connection) -> None:
        settings = {
            "statement_timeout": f"{WAIT_S}s",
            "lock_timeout": f"{WAIT_S}s",
            "hnsw.ef_search": str(WIDTH),
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(SCANNED),
            "search_path": self._search_path(connection),
        }
        calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
        pairs = [each for setting in settings.items() for each in setting]
        connection.execute(f"SELECT {calls}", pairs)

    def _search_path(self, connection: Connection) -> str:
        """Where this connection looks, and where the extension's types are."""
        find = (
            "SELECT extversion, current_setting('search_path') || ', ' || quote_ident(nspname),"
            " quote_ident(current_schema()) FROM pg_extension"
            " JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
        )
        found = connection.execute(find).fetchone()
        if not found:
            self._create_extension(connection)
            found = connection.execute(find).fetchone()
        version, path, schema = found
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            raise StoreError(
                f"{self.address.shown} has pgvector {version}, which returns too few hits under "
                "a filter; install 0.8 or newer there, then run in the database: "
                "ALTER EXTENSION vector UPDATE"
            )
        if not schema:
            raise StoreError(
                f"{self.address.shown} has no schema that it could use; make the one that "
                "search_path names"
            )
        self.schema = str(schema)
        return str(path)

    def _create_extension(self, connection: Connection) -> None:
        import psycopg

        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        except psycopg.Error as error:
            raise StoreError(
                f"{self.address.shown} has no pgvector ({_line(error)}); let an administrator "
                "install it, and run in the database: CREATE EXTENSION vector"
            ) from error

    def _explained(self, error: psycopg.Error) -> str:
        import psycopg

        reason = _line(error)
        for password in self.address.passwords:
            reason = reason.replace(password, "***")
        code = error.sqlstate or ""
        hints = (_HINTS.get(code[:length]) for length in (5, 2))
        hint = next(filter(None, hints), "see the log of the server")
        if not code and "password" in reason:
            hint = _HINTS["28"]
        elif not code and isinstance(error, psycopg.OperationalError):
            hint = _HINTS["3D"] if "does not exist" in reason else _UNREACHABLE
        return f"{self.address.shown}: {reason[:300]}; {hint}"

    def close(self) -> None:
        """End those that are not in use; the next use opens another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
