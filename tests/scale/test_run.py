"""Runs on a real Ray cluster of three nodes and a real S3 server that is busy now and then."""

import io
import tarfile
from dataclasses import replace

import benchmarks.scale
import numpy as np
import pytest
from benchmarks.scale import identity, image

from derain import scale
from derain.batch import BatchSettings
from derain.io import places
from derain.io.decode import DecodedImage
from derain.io.encode import encode_image
from derain.scale.alone import restore_here
from derain.scale.loader import Loader

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

GOOD = 60
NETWORK = Loader("nafnet-small", device="cpu")


@pytest.fixture(scope="module")
def cluster(s3):
    """Three nodes of one core; the server's address is in their environment."""
    utils = pytest.importorskip("ray.cluster_utils")
    made = utils.Cluster()
    try:
        for _ in range(3):
            made.add_node(num_cpus=1)
    except Exception as error:  # Ray raises no narrower one
        made.shutdown()
        if "timed out during startup" not in str(error):
            raise
        pytest.skip("Ray gives a node 30 s to start, and this machine is too busy for that")
    ray.init(made.address, log_to_driver=False)
    benchmarks.scale.by_value()
    yield made
    ray.shutdown()
    made.shutdown()


def rows_of(out):
    return list(scale.read_manifest(out))


def test_a_node_and_the_run_end_in_the_middle_and_every_file_is_there_in_the_end(cluster, s3):
    good = {f"deep/{number:03d}.png": image(number, 32, 32) for number in range(GOOD)}
    bad = [f"bad-{number}.png" for number in range(4)]
    for name, data in good.items():
        places.write(f"{s3}/in/{name}", data)
    for name in bad:
        places.write(f"{s3}/in/{name}", b"nothing")
    plan = scale.Plan(f"{s3}/in", f"{s3}/out", NETWORK, recursive=True)
    nodes = list(cluster.worker_nodes)

    def disturb(rows, progress):
        if nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.clear()
        elif progress.finished > GOOD // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scale.restore(plan, None, disturb)
    before = {row["source"] for row in rows_of(plan.out)}
    assert 0 < len(before) < GOOD
    progress = scale.restore(replace(plan, resume=True))
    assert progress.failed == len(bad)
    assert progress.finished == GOOD + len(bad)
    last = {row["source"]: row for row in rows_of(plan.out)}
    assert {name for name, row in last.items() if row["status"] == "failed"} == set(bad)
    assert all(name in last[name]["reason"] for name in bad)
    done = [row["source"] for row in rows_of(plan.out) if row["status"] == "done"]
    assert len(done) == len(set(done))
    restorer = NETWORK(1)
    for name, data in good.items():
        plain = restore_here(data, name, restorer, BatchSettings()).data
        assert places.read(f"{plan.out}/{name}") == plain


def test_an_image_that_ends_its_worker_is_named_and_no_other_suffers(cluster, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.png").write_bytes(image(number, 16, 16))
    white = encode_image(DecodedImage(np.full((16, 16, 3), 255, np.uint8), "PNG"))
    (tmp_path / "in" / "2-white.png").write_bytes(white)
    plan = scale.Plan(str(tmp_path / "in"), str(tmp_path / "out"), identity)
    progress = scale.restore(plan)
    assert (progress.done, progress.failed) == (5, 1)
    (failed,) = (row for row in rows_of(plan.out) if row["status"] == "failed")
    assert "2-white.png: ended the process that restored it, twice" in failed["reason"]
    assert failed["attempts"] == 2


def test_tar_shards_are_restored_whole_and_made_of_single_files(cluster, s3, tmp_path):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "shard.tar", "w") as made:
        for name, data in (("a.png", image(0, 16, 16)), ("a.json", b"{}"), ("../b.png", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(image(number, 16, 16))
    plan = scale.Plan(str(tmp_path / "in"), f"{s3}/tars", identity, tar=2)
    progress = scale.restore(plan)
    assert progress.failed == 1
    names = [found.name for found in places.list_files(plan.out)]
    assert len(names) == 3
    assert names[-1] == "shard.tar"
    held = {}
    for name in names:
        with tarfile.open(fileobj=io.BytesIO(places.read(f"{plan.out}/{name}"))) as made:
            held |= {m.name: made.extractfile(m).read() for m in made.getmembers()}  # type: ignore[union-attr]
    assert sorted(held) == ["0.png", "1.png", "2.png", "a.json", "a.png"]
    assert held["a.json"] == b"{}"
    status = {row["source"]: row["status"] for row in rows_of(plan.out)}
    assert status["shard.tar/../b.png"] == "failed"
    assert status["shard.tar/a.png"] == status["shard.tar"] == status["0.png"] == "done"


def test_rain_is_taken_from_a_column_of_a_dataset(cluster):
    arrays = [np.full((8, 8, 3), value, np.uint8) for value in (1, 2, 3)]
    dataset = ray.data.from_items([{"image": a, "label": n} for n, a in enumerate(arrays)])

    def made():
        return identity(1)

    rows = scale.restore_dataset(dataset, made).take_all()
    assert {row["label"]: row["image"].max() for row in rows} == {0: 1, 1: 2, 2: 3}


def test_a_read_is_one_request(s3, monkeypatch):
    s3fs = pytest.importorskip("s3fs")
    asked: list[str] = []
    ask = s3fs.S3FileSystem._call_s3

    async def told(self, method, *arguments, **options):
        asked.append(method)
        return await ask(self, method, *arguments, **options)

    places.write(f"{s3}/one/a.bin", b"content")
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", told)
    assert places.read(f"{s3}/one/a.bin") == b"content"
    assert set(asked) == {"get_object"}  # more than one where the server was busy
