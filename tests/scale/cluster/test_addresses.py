"""Pictures in an object store: real HTTP to a server on this machine that speaks S3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from searchengine import encoders
from searchengine.cli import main
from searchengine.errors import SearchEngineError
from searchengine.images.decode import hash_content
from searchengine.index import Index
from searchengine.ingest import Report, Selection, ingest
from searchengine.reembedding import re_embed
from searchengine.scale.cluster import addresses
from searchengine.scale.cluster.driver import ClusterWorkers
from searchengine.scale.cluster.sources import open_local
from searchengine.scale.pictures import open_copy
from tests.ingest.collection import counts
from tests.pictures import jpeg
from tests.scale.cluster.clusters import at_most, cluster, retrained
from tests.scale.cluster.test_sources import write_shard
from tests.scale.parts import require

pytestmark = [
    pytest.mark.slow,
    # Ray and the clients of S3 leave sockets, files and processes to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    with at_most(180):
        yield


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of an S3 server, whose address and keys are in the environment."""
    server_module = require("moto.server", "dev")
    boto3 = require("boto3", "dev")
    require("s3fs", "dev")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.client("s3")
    server.stop()
    addresses.open_root.cache_clear()


@pytest.fixture(scope="module")
def nodes(s3: Any) -> Iterator[Any]:
    require("ray.data", "ray")
    with cluster(2) as made:
        yield made


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    s3.create_bucket(Bucket="pictures")
    yield "pictures"
    for each in s3.list_objects_v2(Bucket="pictures").get("Contents", []):
        s3.delete_object(Bucket="pictures", Key=each["Key"])
    s3.delete_bucket(Bucket="pictures")


def test_a_bucket_is_indexed_and_followed(s3: Any, bucket: str, nodes: Any, tmp_path: Path) -> None:
    for number in range(12):
        s3.put_object(Bucket=bucket, Key=f"holiday/{number % 3}/{number}.jpg", Body=jpeg(number))
    s3.put_object(Bucket=bucket, Key="holiday/0/broken.jpg", Body=b"not a picture")
    s3.put_object(Bucket=bucket, Key="holiday/0/#odd name?.jpg", Body=jpeg(50))
    members = {f"{n:04}.jpg": jpeg(100 + n) for n in range(8)} | {"0000.txt": b"a caption"}
    write_shard(tmp_path / "000.tar", members)
    s3.upload_file(str(tmp_path / "000.tar"), bucket, "holiday/shards/000.tar")
    model = encoders.find("builtin")
    root = f"s3://{bucket}/holiday"
    with Index.create(tmp_path / "index", model.spec) as index:

        def run(**options: Any) -> Report:
            workers = ClusterWorkers(model, nodes.address)
            return ingest(index, workers, [root + "/"], Selection(**options))

        assert counts(run()) == {"added": 21, "failed": 1}
        assert index.roots() == [root]
        paths = index.files(root)
        assert "shards/000.tar/0007.jpg" in paths
        assert "0/#odd name?.jpg" in paths
        (broken,) = index.failures()
        assert broken.file.path == "0/broken.jpg"
        _all_are_shown(index, root)
        assert index.check() == []
        assert counts(run()) == {"failed": 1, "unchanged": 21}

        s3.delete_object(Bucket=bucket, Key="holiday/1/1.jpg")
        s3.delete_object(Bucket=bucket, Key="holiday/2/2.jpg")
        s3.put_object(Bucket=bucket, Key="holiday/moved/2.jpg", Body=jpeg(2))
        s3.put_object(Bucket=bucket, Key="holiday/0/0.jpg", Body=jpeg(60))
        moved = paths["2/2.jpg"][0]
        expected = {"changed": 1, "failed": 1, "moved": 1, "removed": 1, "unchanged": 18}
        assert counts(run()) == expected
        assert index.files(root)["moved/2.jpg"][0] == moved

        before, model = index.files(root), retrained(tmp_path / "other")
        assert re_embed(index, model.spec, ClusterWorkers(model, nodes.address))
        assert (index.spec, index.files(root), index.check()) == (model.spec, before, [])

        s3.delete_object(Bucket=bucket, Key="holiday/shards/000.tar")
        s3.put_object(Bucket=bucket, Key="holiday/shards/000.tar", Body=b"damaged")
        assert counts(run(exclude=["/0"])) == {"removed": 5, "unchanged": 7}
        assert "shards/000.tar/0007.jpg" in index.files(root)  # not to be listed is not to be gone
        assert index.check() == []


def _all_are_shown(index: Index, root: str) -> None:
    for image in index.images([state[0] for state in index.files(root).values()]):
        with open_copy(image.file, open_local) as copy:
            ((found,),) = index.by_digest({hash_content(copy)}).values()
            assert found.id == image.id
            assert os.fstat(copy.fileno()).st_mtime_ns == image.file.mtime_ns


def test_what_cannot_be_listed_is_one_line_and_removes_nothing(
    s3: Any, bucket: str, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=bucket, Key="holiday/1.jpg", Body=jpeg(1))
    model = encoders.find("builtin")
    with Index.create(tmp_path / "index", model.spec) as index:
        workers = ClusterWorkers(model, nodes.address)
        assert counts(ingest(index, workers, [f"s3://{bucket}/holiday"])) == {"added": 1}
        s3.delete_object(Bucket=bucket, Key="holiday/1.jpg")
        with pytest.raises(SearchEngineError, match=r"there is nothing at s3://pictures/holiday"):
            ingest(index, workers, index.roots())
        assert index.count == 1
        with pytest.raises(SearchEngineError, match="there is nothing at s3://no-such-bucket"):
            workers.list_folders(["s3://no-such-bucket"])

        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        forget_connections()
        with pytest.raises(SearchEngineError, match="no credentials; set them on every machine"):
            ingest(index, workers, index.roots())
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        forget_connections()
        with pytest.raises(SearchEngineError, match=r"s3://pictures/holiday: .*can this machine"):
            ingest(index, workers, index.roots())
        assert index.count == 1
    forget_connections()


def forget_connections() -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    addresses.open_root.cache_clear()


def test_parquet_files_in_a_bucket(s3: Any, bucket: str, nodes: Any, tmp_path: Path) -> None:
    parquet = require("pyarrow.parquet", "parquet")
    s3fs = require("s3fs", "dev")
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"in/{number}.jpg", Body=jpeg(number))
    s3.put_object(Bucket=bucket, Key="in/broken.jpg", Body=b"not a picture")
    out = f"s3://{bucket}/out"
    arguments = ["index", f"s3://{bucket}/in", "--ray", nodes.address, "--parquet", out, "--json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = json.loads(result.stdout)
    assert written == {"images": 5, "failed": 1, "files": 1, "complete": True}
    table = parquet.read_table(f"{bucket}/out", filesystem=s3fs.S3FileSystem())
    assert sorted(table["path"].to_pylist()) == [f"s3://{bucket}/in/{n}.jpg" for n in range(5)]
    assert table["embedding"].type.list_size == encoders.find("builtin").spec.dim
    manifest = json.loads(s3.get_object(Bucket=bucket, Key="out/_embeddings.json")["Body"].read())
    assert manifest["model"]["name"] == "builtin"
    [failure] = manifest["failures"]
    assert failure["path"] == f"s3://{bucket}/in/broken.jpg"
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "exists already" in again.output
