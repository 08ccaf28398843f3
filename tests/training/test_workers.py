"""Whatever becomes of a worker or an image, a run goes on or ends in seconds with one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from derain.data.crops import Crops  # noqa: E402
from derain.training.checkpoint import checkpoints, load_checkpoint  # noqa: E402
from derain.training.feed import ELSEWHERE, CropBatches, make_crops  # noqa: E402
from derain.training.loop import TrainingFailed, TrainingSettings, train  # noqa: E402
from derain.training.sources import read_sources  # noqa: E402
from derain.weights.files import load_network  # noqa: E402

ALWAYS = TrainingSettings("cpu", checkpoint_minutes=0, workers=1, onnx=False)
SECONDS = 60  # far below for ever; the machine may be busy with other things
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


class Killed(Exception):
    """Stands for the end of a session."""


@pytest.fixture
def crops(data, recipe, tmp_path):
    return make_crops(read_sources(recipe, data, tmp_path)[0], recipe)


def command(*arguments):
    return [
        sys.executable, "-m", "derain", "train", *map(str, arguments), "--device", "cpu",
        "--workers", "1", "--no-onnx", "--checkpoint-minutes", "0",
    ]  # fmt: skip


def start(*arguments):
    return subprocess.Popen(
        arguments, env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(run, step, process):
    until = time.monotonic() + SECONDS
    while not (run / "checkpoints" / f"step-{step:09d}.pt").is_file():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


def ended(process):
    """The error of a run that ended by itself, in one line."""
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    errors = [line for line in err.splitlines() if line]
    assert len(errors) == 1, err
    assert errors[0].startswith("error: ")
    return errors[0]


def break_items(monkeypatch, numbers, error):
    """Crops that raise at these items, in the training's process and its workers."""
    make = Crops.__getitem__

    def breaking(crops, item):
        if item[0] in numbers:
            raise error
        return make(crops, item)

    monkeypatch.setattr(Crops, "__getitem__", breaking)


def test_another_crop_stands_in_for_a_broken_one(crops, monkeypatch):
    items = [(k, 32) for k in range(4)]
    whole = CropBatches(crops)[items]
    stand_in = crops[2 + ELSEWHERE, 32]
    break_items(monkeypatch, {2}, OSError("it went away"))
    batch = CropBatches(crops)[items]
    assert batch.skipped == [f"{crops.name_of(2)}: OSError: it went away"]
    assert not batch.failure
    for k in (0, 1, 3):
        assert torch.equal(batch.rainy[k], whole.rainy[k])
    assert torch.equal(batch.rainy[2], stand_in[0])
    assert torch.equal(batch.clean[2], stand_in[1])


def test_a_run_with_broken_items_goes_on_and_can_be_resumed_exactly(
    data, recipe, tmp_path, monkeypatch
):
    break_items(monkeypatch, {9, 18}, OSError("it went away"))
    remarks = []
    train(recipe, data, tmp_path / "whole", ALWAYS, on_step=lambda p: remarks.append(p.remark))
    assert sum("it went away; other crops stand in for its own" in r for r in remarks) >= 1

    def kill(progress):
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, data, tmp_path / "parts", ALWAYS, on_step=kill)
    train(recipe, data, tmp_path / "parts", ALWAYS, resume=True)
    whole, parts = (
        load_network(tmp_path / run / "tiny.safetensors")[0].state_dict()
        for run in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("nothing in it"), "10 images in a row cannot be used; the last: .*nothing in"),
        (MemoryError("Unable to allocate 64 TiB"), "out of memory while making crops .*64 TiB"),
    ],
)
def test_what_no_other_crop_can_mend_ends_the_run(
    data, recipe, tmp_path, monkeypatch, workers, error, words
):
    here = TrainingSettings("cpu", workers=workers, onnx=False)
    numbers = {8 + attempt * ELSEWHERE for attempt in range(10)}
    break_items(monkeypatch, numbers, error)
    begun = time.monotonic()
    with pytest.raises(TrainingFailed, match=words) as caught:
        train(recipe, data, tmp_path / "run", here)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < SECONDS
    assert load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[0])["step"] == 0


def test_too_many_broken_images_end_the_run(data, recipe, tmp_path, monkeypatch):
    """Each item names another image here, as if a disk were failing."""
    monkeypatch.setattr(Crops, "name_of", lambda crops, item: f"{item}.png")
    break_items(monkeypatch, set(range(100)), OSError("it went away"))
    with pytest.raises(TrainingFailed, match="more than 20 images cannot be used"):
        train(recipe, data, tmp_path / "run", ALWAYS)


def test_an_image_damaged_on_the_way_is_named_and_skipped(data, recipe_file, tmp_path):
    run = tmp_path / "run"
    process = start(*command(recipe_file, "--data", data, "--out", run, "--set", "steps=25",
                             "--set", "data.storage=files"))  # fmt: skip
    wait_for_step(run, 1, process)
    for name in ("0.png", "1.png", "2.png", "3.png"):  # three at most are for validation
        (data / "clean" / name).write_bytes(b"no image any more")
    _, err = process.communicate(timeout=2 * SECONDS)
    assert process.returncode == 0, err
    lines = err.splitlines()
    assert 1 <= len(lines) <= 4
    assert len(set(lines)) == len(lines)
    assert all("stand in for its own" in line and "clean/" in line for line in lines)
    assert load_network(run / "tiny.safetensors")[1].trained_on.startswith("recipe tiny, 25 steps")


def test_when_every_image_is_damaged_the_run_ends(data, recipe_file, tmp_path):
    run = tmp_path / "run"
    process = start(*command(recipe_file, "--data", data, "--out", run, "--set", "steps=9999",
                             "--set", "data.storage=files"))  # fmt: skip
    wait_for_step(run, 1, process)
    for path in (data / "clean").iterdir():
        path.write_bytes(b"no image any more")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert "10 images in a row cannot be used" in last
    assert last.endswith(f"go on with: derain train --resume {run}")
    assert "Traceback" not in err
    load_checkpoint(checkpoints(run / "checkpoints")[0])


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_killed_worker_ends_the_run_whose_last_checkpoint_goes_on(data, recipe_file, tmp_path):
    run = tmp_path / "run"
    new = command(recipe_file, "--data", data, "--out", run, "--set", "steps=100000")
    process = start(*new)
    wait_for_step(run, 1, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in map(int, children):
        os.kill(child, signal.SIGKILL)
    line = ended(process)
    assert "a worker that makes crops ended by SIGKILL; if memory ran out, use fewer" in line
    assert f"go on with: derain train --resume {run}" in line
    step = load_checkpoint(checkpoints(run / "checkpoints")[0])["step"]
    assert step >= 1
    again = start(*command("--resume", run, "--set", f"steps={step + 2}"))
    assert again.communicate(timeout=SECONDS)[1] == ""
    assert again.returncode == 0


@pytest.mark.parametrize("size", ["4k", "128k"])  # no room for a queue, for a batch
def test_full_shared_memory_ends_the_run(data, recipe_file, tmp_path, size):
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    new = command(recipe_file, "--data", data, "--out", tmp_path / "run", "--set", "data.batch=16")
    line = ended(start("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *new))
    assert "shared memory (/dev/shm) is full: enlarge it, or use fewer workers" in line
    assert load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[0])["step"] == 0
