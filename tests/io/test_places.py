"""Files at URLs: whole or not there, listed page by page, never taken for absent when unasked."""

import numpy as np
import pytest

from derain import batch
from derain.io import places
from derain.io.decode import DecodedImage, decode_image
from derain.io.encode import encode_image
from derain.restore import load

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def root():
    """A folder in memory that nobody else uses."""
    place = "memory://test-places"
    yield place
    system = fsspec.filesystem("memory")
    if system.exists("/test-places"):
        system.rm("/test-places", recursive=True)


def test_files_are_listed_in_order_with_their_sizes(root):
    for name, data in (("b.png", b"12"), ("deep/a.png", b"1"), ("a.png", b"")):
        places.write(f"{root}/{name}", data)
    assert [(f.name, f.size) for f in places.list_files(root)] == [("a.png", 0), ("b.png", 2)]
    assert [f.name for f in places.list_files(root, True)] == ["a.png", "b.png", "deep/a.png"]


def test_kinds_of_places(root, tmp_path):
    places.write(f"{root}/deep/a.png", b"1")
    assert places.kind_of(f"{root}/deep/a.png") == "file"
    assert places.kind_of(f"{root}/deep") == "folder"
    assert places.kind_of(f"{root}/none") is None
    assert places.kind_of(str(tmp_path)) == places.kind_of(f"file://{tmp_path}") == "folder"


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/../../b", "..\\a", "C:/a", "", "a\0"])
def test_names_that_lead_out_of_their_folder_are_refused(name):
    with pytest.raises(ValueError, match="leads out"):
        places.below("s3://bucket/out", name)


class Busy(fsspec.AbstractFileSystem):
    """A server that refuses the first questions, as many as are asked for."""

    protocol = "busy"
    refuses = 0

    def info(self, path, **_):
        if Busy.refuses > 0:
            Busy.refuses -= 1
            raise OSError(16, "Please reduce your request rate")
        return {"name": path, "size": 3, "type": "file"}


def test_a_busy_server_is_asked_again_and_never_taken_for_an_empty_one(monkeypatch):
    monkeypatch.setattr(places, "PAUSE", 0.001)
    fsspec.register_implementation("busy", Busy, clobber=True)
    Busy.refuses = places.ATTEMPTS - 1
    assert places.exists("busy://x")
    Busy.refuses = places.ATTEMPTS
    with pytest.raises(OSError, match="busy://x: Please reduce your request rate"):
        places.exists("busy://x")


def test_a_missing_package_is_named():
    with pytest.raises(ValueError, match="gcsfs"):
        places.read("gs://bucket/a.png")
    with pytest.raises(ValueError, match="Protocol not known: nothing"):
        places.read("nothing://bucket/a.png")


def test_images_are_restored_from_one_url_to_another(root):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
    for name in ("in/a.png", "in/deep/b.png"):
        places.write(f"{root}/{name}", encode_image(DecodedImage(pixels, "PNG")))
    places.write(f"{root}/in/broken.png", b"nothing")
    jobs, failed = batch.plan([f"{root}/in"], f"{root}/out", recursive=True)
    assert not failed
    restorer = load(device="cpu")
    outcomes: list[batch.Outcome] = []
    batch.run(jobs, restorer, batch.BatchSettings(), 1, outcomes.append)
    status = {o.job.source.rpartition("/")[2]: o.status for o in outcomes}
    assert status == {"a.png": "restored", "b.png": "restored", "broken.png": "failed"}
    result = decode_image(places.read(f"{root}/out/deep/b.png"), "b")
    assert (result.pixels == restorer(pixels)).all()
    assert not places.exists(f"{root}/out/broken.png")
    # They are there now, and neither replaced nor taken for images of the folder around them.
    batch.run(jobs, restorer, batch.BatchSettings(), 1, outcomes.append)
    assert "exists already" in outcomes[3].message
    again, _ = batch.plan([root], f"{root}/out", recursive=True)
    assert [j.source for j in again] == [j.source for j in jobs]


def test_what_a_url_cannot_do_is_one_line(root):
    places.write(f"{root}/a.png", b"x")
    for sources, out, words in (
        ([f"{root}/a.png"], "https://example.org/out", "cannot be written to"),
        ([f"{root}/a.mp4"], None, "clips are read from files of this machine"),
        ([f"{root}/none"], None, "no such file or folder"),
    ):
        _, failed = batch.plan(sources, out)
        assert words in failed[0].message


def test_metrics_measures_images_behind_urls(root, derain, tmp_path):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 200, (24, 32, 3), np.uint8)
    (tmp_path / "clean").mkdir()
    for name in ("a.png", "b.png"):
        places.write(f"{root}/rainy/{name}", encode_image(DecodedImage(clean + 10, "PNG")))
        (tmp_path / "clean" / name).write_bytes(encode_image(DecodedImage(clean, "PNG")))
    options = ("-m", "psnr", "--protocol", "rgb", "--csv")
    code, out, _ = derain("metrics", f"{root}/rainy", tmp_path / "clean", *options)
    assert code == 0
    assert out.count(f"{20 * np.log10(25.5):.2f}") >= 2
    code, _, err = derain("metrics", f"{root}/none", *options)
    assert (code, "no such file or folder" in err) == (1, True)
