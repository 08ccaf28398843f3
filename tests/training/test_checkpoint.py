"""Checkpoints are whole or not there."""

import pytest

torch = pytest.importorskip("torch")

from derain.training.checkpoint import (  # noqa: E402
    checkpoints,
    keep_newest,
    load_checkpoint,
    name_of,
    newest_intact,
    save_checkpoint,
)


def test_what_is_saved_is_read_back(tmp_path):
    state = {"step": 3, "tensor": torch.arange(5), "nested": {"x": [1.5, None]}}
    save_checkpoint(tmp_path / "a.pt", state)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(loaded.pop("tensor"), state.pop("tensor"))
    assert loaded == state


def test_a_checkpoint_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"step": lambda: None})
    assert load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_flipped_bit_is_found(tmp_path, position):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"tensor": torch.zeros(1000)})
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.pt: damaged"):
        load_checkpoint(path)


def test_the_newest_stay_and_the_newest_whole_one_is_found(tmp_path):
    for step in (1, 20, 300, 4000):
        save_checkpoint(tmp_path / name_of(step), {"step": step})
    keep_newest(tmp_path, 3)
    assert [load_checkpoint(p)["step"] for p in checkpoints(tmp_path)] == [4000, 300, 20]
    (tmp_path / name_of(4000)).write_bytes(b"")
    path, state, problems = newest_intact(tmp_path)
    assert (path.name, state["step"], len(problems)) == (name_of(300), 300, 1)
