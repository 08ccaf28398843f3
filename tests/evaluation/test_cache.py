import json
import math
from pathlib import Path

import pytest

from derain.evaluation.cache import FORMAT, Cache, Key, Measurement, content_of
from derain.io.pairs import PairPath
from derain.weights.record import Record

KEY = Key("abc", "y", "fake cpu f32")
OTHER = Key("def", "y", "fake cpu f32")


def open_cache(folder: Path, notes: list[str] | None = None) -> Cache:
    return Cache(folder, "f" * 64, "rain100h", (notes if notes is not None else []).append)


def test_what_is_added_is_there_at_once_and_later(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.add("1", KEY, Measurement({"psnr": 28.66, "ssim": 1 / 3}, 0.5, True))
    cache.add("2", OTHER, Measurement({"psnr": math.inf}, 0.25))
    for known in (cache, open_cache(tmp_path)):
        assert known.entries[KEY] == Measurement({"psnr": 28.66, "ssim": 1 / 3}, 0.5, True)
        assert known.entries[OTHER].values["psnr"] == math.inf
    for line in cache.path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # other programs read no Infinity


def test_later_metrics_join_earlier_ones(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.add("1", KEY, Measurement({"psnr": 28.0}, 0.5))
    cache.add("1", KEY, Measurement({"fsim": 0.9}, 0.7))
    assert open_cache(tmp_path).entries[KEY] == Measurement({"psnr": 28.0, "fsim": 0.9}, 0.7)


def test_a_line_cut_off_by_a_kill_costs_one_image(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.add("1", KEY, Measurement({"psnr": 28.0}, 0.5))
    cache.add("2", OTHER, Measurement({"psnr": 20.0}, 0.5))
    whole = cache.path.read_bytes()
    cache.path.write_bytes(whole[:-30])
    notes: list[str] = []
    cut = open_cache(tmp_path, notes)
    assert cut.entries.keys() == {KEY}
    assert notes == [f"{cache.path}: line 2 is unreadable; its image is measured again"]
    cut.add("2", OTHER, Measurement({"psnr": 20.0}, 0.5))
    assert open_cache(tmp_path).entries == cache.entries  # the torn line did not spoil the new one


@pytest.mark.parametrize(
    "rubbish", ["", "nonsense", "[]", "3", '{"format": 1}', '{"format": 1, "values": {"psnr": []}}']
)
def test_unreadable_lines_are_named_and_the_rest_is_kept(tmp_path: Path, rubbish: str) -> None:
    cache = open_cache(tmp_path)
    cache.add("1", KEY, Measurement({"psnr": 28.0}, 0.5))
    good = cache.path.read_text()
    cache.path.write_text(f"{rubbish}\n{good}")
    notes: list[str] = []
    assert open_cache(tmp_path, notes).entries.keys() == {KEY}
    assert len(notes) == 1
    assert "line 1 is unreadable" in notes[0]
    cache.path.write_bytes(b"\xff\xfe\x00rubbish\n" + good.encode())
    assert open_cache(tmp_path, notes).entries.keys() == {KEY}


def test_lines_of_another_format_are_not_used(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.add("1", KEY, Measurement({"psnr": 28.0}, 0.5))
    text = cache.path.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}')
    cache.path.write_text(text)
    notes: list[str] = []
    assert open_cache(tmp_path, notes).entries == {}
    assert notes == []


def test_models_and_sets_have_files_of_their_own(tmp_path: Path) -> None:
    paths = {
        Cache(tmp_path, sha256, name, print).path
        for sha256 in ("a" * 64, "b" * 64)
        for name in ("rain100h", "test100")
    }
    assert len(paths) == 4
    assert open_cache(tmp_path).example(KEY) != open_cache(tmp_path).example(OTHER)


def test_content_is_the_bytes_of_both_images(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in "abc"}
    for name, path in files.items():
        path.write_text(name)
    pair = content_of(PairPath("x", files["a"], files["b"]))
    assert pair == content_of(PairPath("another name", files["a"], files["b"]))
    assert pair != content_of(PairPath("x", files["a"], files["c"]))
    assert pair != content_of(PairPath("x", files["a"]))
    assert content_of(PairPath("x", files["a"])) == content_of(
        PairPath("x", files["a"], files["a"], "left")
    )


def test_a_models_record_is_kept(tmp_path: Path) -> None:
    record = Record("half", "prenet", parameters=3, gmacs=1.5)
    assert open_cache(tmp_path).record(lambda: record) == record
    assert open_cache(tmp_path).record(pytest.fail) == record  # not loaded again
    (open_cache(tmp_path).folder / "model.json").write_text("rubbish")
    assert open_cache(tmp_path).record(lambda: record) == record
