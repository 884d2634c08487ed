from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from searchengine.errors import StoreError
from searchengine.scale.milvus.address import MilvusAddress
from searchengine.scale.pgvector.address import PgVectorAddress
from searchengine.scale.stores import check_address, open_store
from searchengine.types import EncoderSpec

SPEC = EncoderSpec("toy", "0123456789abcdef", 8)


@pytest.mark.parametrize(
    "address",
    [
        "milvus:http://localhost:19530",
        "milvus:http://localhost",
        "milvus:https://user:pass@host:443/database",
        "milvus:http://[::1]:19530",
        "pgvector",
        "pgvector:postgresql+psycopg://me@host/pictures",
        "pgvector:postgresql://me:secret@host:5433/pictures?options=-csearch_path%3Dshop",
        "pgvector:postgresql+psycopg://me@/pictures?host=/run/postgresql",
    ],
)
def test_an_address_of_a_server_is_remembered_as_it_is(address: str) -> None:
    assert check_address(address) == address


def test_the_folder_of_milvus_lite_is_remembered_with_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_address("milvus:my vectors.db") == f"milvus:{tmp_path}/my vectors.db"


@pytest.mark.parametrize(
    "address", ["", "qdrant:http://me:s3cret@host", "faiss", "http://x", "C:/x"]
)
def test_an_unknown_scheme_is_one_line_that_lists_those_there_are(address: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_address(address)
    message = str(caught.value)
    assert "\n" not in message
    assert "s3cret" not in message
    for form in ("milvus:http://", "milvus:FOLDER.db", "pgvector:postgresql+psycopg://"):
        assert form in message


@pytest.mark.parametrize(
    "address",
    [
        "milvus:",
        "milvus:host:19530",
        "milvus:ftp://me:s3cret@host",
        "milvus:http://me:s3cret@host:port",
        "milvus:http://me:s3cret@host/one/two",
        "milvus:http://me:s3cret@host?x=1",
        "milvus:http://",
        "milvus:vectors",
        "pgvector:mysql://me:s3cret@host/x",
        "pgvector:host",
        "pgvector:postgresql:x",
        "pgvector:postgresql://me:s3cret@host:port/x",
    ],
)
def test_a_malformed_address_is_refused_without_being_shown(address: str) -> None:
    for use in (check_address, lambda text: open_store(text, "toy", SPEC)):
        with pytest.raises(StoreError, match="write") as caught:
            use(address)
        assert "s3cret" not in str(caught.value)


def test_the_parts_of_an_address_are_told_apart() -> None:
    milvus = MilvusAddress.parse("https://me%40here:p%3Ass@host/pictures")
    assert (milvus.uri, milvus.database) == ("https://host:443", "pictures")
    assert (milvus.user, milvus.password) == ("me@here", "p:ss")
    postgres = PgVectorAddress.parse("postgresql+psycopg://me:p%3Ass@host/x?sslmode=require")
    assert postgres.conninfo == "postgresql://me:p%3Ass@host/x?sslmode=require"
    assert postgres.shown == "pgvector:postgresql://host/x?sslmode=require"


@pytest.mark.parametrize(
    "address",
    [
        "milvus:http://me:s3cret@host:19530/database",
        "pgvector:postgresql+psycopg://me:s3cret@host/x",
        "pgvector:postgresql+psycopg://me@host/x?password=s3cret&sslmode=require",
    ],
)
def test_a_name_tells_stores_apart_and_shows_no_credentials(address: str) -> None:
    one, other = (open_store(address, alias, SPEC) for alias in ("one", "other"))
    again = open_store(address.replace("s3cret", "changed"), "one", SPEC)
    assert one.name == again.name != other.name
    assert one.name != open_store(address, "one", EncoderSpec("x", "f" * 64, 8)).name
    for text in (one.name, repr(one), repr(vars(one))):
        assert "s3cret" not in text
        assert "me" not in one.name.split("/")


@pytest.mark.parametrize("alias", ["", "a b", "1a", 'x"; drop', "A", "ü", "x" * 41])
def test_an_alias_that_is_no_name_is_refused(alias: str) -> None:
    for address in ("milvus:x.db", "pgvector:postgresql://host/x"):
        with pytest.raises(StoreError, match="small letters"):
            open_store(address, alias, SPEC)


def test_checking_an_address_loads_neither_pymilvus_nor_psycopg() -> None:
    program = (
        "import sys; from searchengine.scale.stores import check_address, open_store;"
        "from searchengine.types import EncoderSpec; spec = EncoderSpec('x', 'x', 8);"
        "open_store(check_address('milvus:http://x'), 'x', spec);"
        "open_store(check_address('pgvector:postgresql://x/x'), 'x', spec);"
        "sys.exit(bool({'pymilvus', 'grpc', 'psycopg', 'pandas', 'milvus_lite'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("module", "address", "extra"),
    [
        ("pymilvus", "milvus:http://127.0.0.1:1", "milvus"),
        ("psycopg", "pgvector:postgresql://127.0.0.1:1/x", "postgres"),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: str, address: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError, match=rf"pip install 'searchengine\[{extra}\]'"):
        open_store(address, "toy", SPEC).ready()
