"""Compiled networks of earlier starts are used where nothing has changed, and only there."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from derain.engines import kept, openvino
from derain.engines.kept import Kept
from derain.engines.openvino import OpenVINOEngine
from derain.weights.catalog import WEIGHTS

SHIPPED = WEIGHTS["mh2fnet-small"].file(".onnx")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "user_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "compiled"


def run(path=SHIPPED, precision="f32", threads=None):
    batch = np.random.default_rng(0).random((1, 3, 48, 64), np.float32)
    return OpenVINOEngine(path, precision, threads)(batch)


@pytest.mark.parametrize("precision", ["f32", "auto"])
def test_the_second_start_compiles_nothing_and_returns_the_same(cache, monkeypatch, precision):
    first = run(precision=precision)
    assert len(list(cache.iterdir())) == 1

    def read_model(path):
        raise AssertionError("read again")

    monkeypatch.setattr(openvino, "read_model", read_model)
    assert (run(precision=precision) == first).all()
    engine = OpenVINOEngine(SHIPPED, precision, threads=1)  # of which nothing was said before
    assert engine.compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert engine.compiled.get_property("ENABLE_CPU_PINNING") is False


def test_only_shipped_networks_are_kept(cache, tmp_path):
    path = tmp_path / SHIPPED.name
    shutil.copy(SHIPPED, path)
    run(path)
    assert not cache.exists()


def test_another_key_or_precision_is_another_network(cache):
    Kept(SHIPPED, "f32", "one").write(b"compiled")
    assert Kept(SHIPPED, "f32", "one").read() == b"compiled"
    assert Kept(SHIPPED, "f32", "two").read() is None
    assert Kept(SHIPPED, "bf16", "one").read() is None


def test_another_model_file_is_another_network(cache, tmp_path, monkeypatch):
    path = tmp_path / SHIPPED.name
    path.write_bytes(b"before")
    monkeypatch.setattr(kept, "WEIGHTS", {"one": Shipped(path)})
    Kept(path, "f32", "one").write(b"compiled")
    assert Kept(path, "f32", "one").read() == b"compiled"
    path.write_bytes(b"beford")  # of the same size
    assert Kept(path, "f32", "one").read() is None


class Shipped:
    """A network whose files lie elsewhere."""

    def __init__(self, path):
        self.path = path

    def file(self, suffix):
        return self.path


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: data[:40] + b"x" + data[41:], lambda data: b""],
)
def test_damaged_files_are_compiled_again(cache, damage):
    expected = run()
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert (run() == expected).all()
    assert len(file.read_bytes()) > 1000
    assert file.read_bytes() != damage(whole)


def test_what_openvino_does_not_read_is_compiled_again(cache):
    expected = run()
    (file,) = cache.iterdir()
    whole, file_kept = file.read_bytes(), []

    class Spy(Kept):
        def __init__(self, *given):
            super().__init__(*given)
            file_kept.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "Kept", Spy)
        run()
        file_kept[0].write(b"of another version of OpenVINO, with the right key")
        assert file.read_bytes() != whole
    assert (run() == expected).all()


def test_without_a_place_for_it_a_network_is_compiled_each_time(cache, monkeypatch, tmp_path):
    expected = run()
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "user_cache", lambda: tmp_path / "file")  # no folder can be in it
    assert (run() == expected).all()

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(kept, "user_cache", no_home)
    assert (run() == expected).all()


def test_several_at_once_read_a_whole_file_or_none(cache):
    forms = [bytes([n]) * 100_000 for n in range(8)]

    def work(form):
        own = Kept(SHIPPED, "f32", "one")
        own.write(form)
        return own.read()

    with ThreadPoolExecutor(8) as pool:
        assert all(read in forms for read in pool.map(work, forms * 4))
    assert [file.suffix for file in cache.iterdir()] == [".blob"]
