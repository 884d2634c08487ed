"""What is particular to PostgreSQL, besides its full-text search in `tsvector`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from searchengine.catalog.schema import AnyText, metadata
from searchengine.errors import IndexFolderError

BUSY_SECONDS = 10
_CONNECT_SECONDS = 10
# Two numbers make a key: that of everything that is locked here, and which of it.
_LOCKS = 0x5EA2C4

_ADVICE = {
    "28P01": "check the user and the password in the address",
    "28000": "check the user in the address, and what pg_hba.conf lets in",
    "3D000": "make the database first: `createdb NAME`",
    "3F000": "make the schema first: `CREATE SCHEMA name`",
    "53100": "the server's disk is full: free some space there and run the same command again",
    "53300": "too many programs use it; run the same command again in a moment",
    "55P03": "another process is writing to it; run the same command again in a moment",
    "42501": "let its owner GRANT this user what is missing",
    "25006": "it is read-only; write to the primary server",
}
# A connection that fails has no such code.
_SAID = {
    "password": "28P01",
    "pg_hba": "28000",
    "role": "28000",
    "database": "3D000",
    "too many": "53300",
}
_REACH = "check that the server runs and that the address is right"

_DROPPED = (
    """
    CREATE FUNCTION embedding_dropped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM stores) THEN
        INSERT INTO dropped (image_id) SELECT image_id FROM old_rows
        WHERE EXISTS (SELECT FROM models WHERE id = old_rows.model_id);
    END IF;
    RETURN NULL; END $$
    """,
    "CREATE TRIGGER embedding_dropped AFTER DELETE ON embeddings"
    " REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION embedding_dropped()",
)


class Server:
    """A database of a server; it holds one catalog, or one in each schema.

    Raises:
        IndexFolderError: the address is none, or what talks to PostgreSQL is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            url = sa.make_url(address)
            if url.get_backend_name() != "postgresql":
                raise ValueError(url.drivername)
            port = f":{url.port}" if url.port else ""
            self.place = f"{url.host or url.query.get('host', '')}{port}/{url.database or ''}"
        except (ArgumentError, ValueError):
            raise IndexFolderError(
                "the catalog's address cannot be read; it looks like "
                "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
            ) from None
        self.place = f"PostgreSQL {self.place}"
        self.how_to_make = "make one with `searchengine index FOLDER --catalog URL`"
        self.engine = _connect(url)

    def is_there(self) -> bool:
        """Whether there may be tables: the server says so."""
        return True

    @contextmanager
    def begin(self, *, writes: bool) -> Iterator[Connection]:
        """A transaction: a reader sees one state, a writer is the only one."""
        options = {
            "isolation_level": "READ COMMITTED" if writes else "REPEATABLE READ",
            "postgresql_readonly": not writes,
        }
        with self.engine.connect().execution_options(**options) as db, db.begin():
            if writes:
                # Before anything is numbered: so that numbers ascend as transactions commit.
                db.exec_driver_sql(
                    f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s';"
                    f" SELECT pg_advisory_xact_lock({_LOCKS}, hashtext(current_schema()))"
                )
            yield db

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Hold a lock of this name; False at once where another process does."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.detach()  # closed at the end, and the lock with it
            key = sa.func.hashtext(sa.func.concat(sa.func.current_schema(), ".", what))
            query = sa.select(sa.func.pg_try_advisory_lock(_LOCKS + 1, key))
            yield bool(db.execute(query).scalar_one())

    def explain(self, error: BaseException) -> str:
        """Make a line of what the server says: where, what, and what to do next."""
        said = str(error) or type(error).__name__
        diagnosis = getattr(error, "diag", None)
        if diagnosis is not None and diagnosis.message_primary:
            said = diagnosis.message_primary
        code = getattr(error, "sqlstate", None)
        if code is None:
            code = next((_SAID[each] for each in _SAID if each in said), "")
        lost = not code or code.startswith(("08", "57P"))
        cure = _ADVICE.get(code) or (_REACH if lost else "try `searchengine check`")
        return f"{self.place}: {' '.join(said.split())}; {cure}"


def _connect(url: URL) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={}
            if "connect_timeout" in url.query
            else {"connect_timeout": _CONNECT_SECONDS},
            pool_pre_ping=True,  # the server may have been restarted
        )
    except ModuleNotFoundError as error:
        raise IndexFolderError(
            "a catalog on PostgreSQL needs psycopg; pip install 'searchengine[postgres]'"
        ) from error

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        # The age of a picture without a date is told by this machine's clock.
        connection.autocommit = True
        with closing(connection.cursor()) as cursor:
            try:
                cursor.execute("SELECT set_config('TimeZone', %s, false)", (_zone(),))
            except engine.dialect.loaded_dbapi.DataError:  # the server does not know it
                cursor.execute("SELECT set_config('TimeZone', %s, false)", (_offset(),))
        connection.autocommit = False

    return engine


def _zone() -> str:
    """What this machine's time zone is called."""
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    return os.environ.get("TZ", "").removeprefix(":") or linked or "UTC"


def _offset() -> str:
    """How far this machine's clock is from UTC now, west being positive, as POSIX writes it."""
    seconds = -time.localtime().tm_gmtoff
    sign = "-" if seconds < 0 else "+"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"<here>{sign}{hours}:{minutes:02}"


def create(db: Connection) -> None:
    """Make what is not in the schema's tables.

    Raises:
        IndexFolderError: the database cannot hold every text.
    """
    encoding = db.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise IndexFolderError(
            f"the database has the encoding {encoding}; make one with UTF8: "
            "`createdb -E UTF8 -T template0 NAME`"
        )
    for statement in _DROPPED:
        db.exec_driver_sql(statement)


def insert(db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows that have the same columns."""
    if rows:
        columns = [table.c[name] for name in rows[0]]
        copy(db, table.name, list(rows[0]), (_values(db, columns, row) for row in rows))


def insert_numbered(
    db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> Sequence[int]:
    """Insert many rows, and return the ids that they get."""
    key = sa.func.nextval(sa.func.pg_get_serial_sequence(table.name, "id"))
    numbers = sa.select(key).select_from(sa.func.generate_series(1, len(rows)).alias())
    ids = sorted(db.execute(numbers).scalars())
    insert(db, table, [{"id": each, **row} for each, row in zip(ids, rows, strict=True)])
    return ids


def _values(
    db: Connection, columns: Sequence[sa.Column[Any]], row: Mapping[str, Any]
) -> Iterator[Any]:
    for column in columns:
        value = row[column.name]
        if isinstance(column.type, AnyText):
            value = column.type.process_bind_param(value, db.dialect)
        yield value


def copy(db: Connection, table: str, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows by COPY, which takes a tenth of the time of INSERT."""
    cursor: Any = db.connection.cursor()
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with closing(cursor), cursor.copy(statement) as target:
        for row in rows:
            target.write_row(tuple(row))


def problems(db: Connection) -> list[str]:
    """What PostgreSQL finds damaged: references to missing rows."""
    found = []
    for child, key, parent in _references():
        missing = _orphans(child, key, parent)
        count = db.execute(sa.select(sa.func.count()).select_from(child).where(missing)).scalar()
        if count:
            found.append(f"catalog: {count} rows of {child} refer to missing rows of {parent}")
    return found


def mend(db: Connection) -> int:
    """Make every index anew, remove rows that refer to missing ones; returns how many."""
    removed = 0
    for table in metadata.sorted_tables:
        db.exec_driver_sql(f"REINDEX TABLE {table.name}")
    for child, key, parent in _references():
        removed += db.execute(sa.delete(child).where(_orphans(child, key, parent))).rowcount
    return removed


def _references() -> Iterator[tuple[Table, sa.Column[Any], Table]]:
    for table in metadata.sorted_tables:
        for reference in table.foreign_keys:
            yield table, reference.parent, reference.column.table


def _orphans(child: Table, key: sa.Column[Any], parent: Table) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(parent.c.id == key)
