"""Runs in processes of their own: killed, stopped, on a full disk, two at once."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from derain.training.checkpoint import checkpoints  # noqa: E402
from derain.weights.files import load_network  # noqa: E402

DERAIN = [sys.executable, "-m", "derain"]
COMMON = ["--device", "cpu", "--workers", "1", "--no-onnx"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def weights(run):
    return load_network(run / "tiny.safetensors")[0].state_dict()


def start(*arguments, **more):
    return subprocess.Popen(
        [*DERAIN, "train", *map(str, arguments), *COMMON],
        env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait_for_step(run, step, process):
    """Until a checkpoint at or after the step is there."""
    newest = -1
    for _ in range(1200):
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()[1]}")
        found = checkpoints(run / "checkpoints")
        newest = int(re.findall(r"\d+", found[0].name)[0]) if found else -1
        if newest >= step:
            return
        time.sleep(0.05)
    pytest.fail(f"no checkpoint at step {step}; the newest is {newest}")


def test_killed_and_resumed_ends_as_if_never_killed(data, recipe_file, tmp_path):
    new = (recipe_file, "--data", data, "--set", "steps=40")
    assert finish(start(*new, "--out", tmp_path / "whole"))[0] == 0
    process = start(*new, "--out", tmp_path / "run", "--checkpoint-minutes", "0")
    for step in (3, 17):
        wait_for_step(tmp_path / "run", step, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start("--resume", tmp_path / "run", "--checkpoint-minutes", "0")
    assert finish(process)[0] == 0
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(data, recipe_file, tmp_path, number):
    run = tmp_path / "run"
    process = start(recipe_file, "--data", data, "--out", run, "--set", "steps=100000",
                    start_new_session=True)  # fmt: skip
    wait_for_step(run, 0, process)
    os.killpg(process.pid, number)  # as a terminal and a cluster do: to the workers too
    code, _, err = finish(process)
    assert code == 130
    said = re.search(r"stopped at step (\d+); go on with: derain train --resume", err)
    assert said is not None
    step = int(said[1])
    assert checkpoints(run / "checkpoints")[0].name == f"step-{step:09d}.pt"
    assert (run / "tiny.safetensors").is_file() or step == 0


def test_a_full_disk_keeps_the_last_good_checkpoint(data, recipe_file, tmp_path):
    """A limit on file sizes stands for the disk: the system refuses to write in the same place."""
    run = tmp_path / "run"
    first = start(recipe_file, "--data", data, "--out", run)
    assert finish(first)[0] == 0
    before = {path.name: path.read_bytes() for path in checkpoints(run / "checkpoints")}
    limited = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
from derain.cli import main
sys.argv = ["derain", "train", "--resume", {str(run)!r}, "--set", "steps=20",
            "--checkpoint-minutes", "0", "--workers", "1", "--device", "cpu"]
main()
"""
    process = subprocess.run(
        [sys.executable, "-c", limited], env=ONE_THREAD, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 1
    assert "not saved: File too large; training goes on" in process.stderr
    assert "make room and resume the run; go on with: derain train --resume" in process.stderr
    assert "Traceback" not in process.stderr
    assert {path.name: path.read_bytes() for path in checkpoints(run / "checkpoints")} == before
    assert not list(run.rglob("*.partial"))


def test_two_processes_learn_as_one_does(data, recipe_file, tmp_path):
    """The same global batch gives the same losses, and every file is written once."""
    common = ["--data", str(data), "--set", "steps=50", *COMMON]
    one = start(recipe_file, "--data", data, "--out", tmp_path / "one", "--set", "steps=50")
    assert finish(one)[0] == 0
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "derain", "train", str(recipe_file), "--out", str(tmp_path / "two"), *common,
    ]  # fmt: skip
    two = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, timeout=180)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("tiny.safetensors") == 1
    curves = []
    for name in ("one", "two"):
        with (tmp_path / name / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        curves.append([float(row["loss"]) for row in rows])
        assert [row["step"] for row in rows] == ["10", "20", "30", "40", "50"]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


def test_a_bare_gpu_machine_needs_no_more_than_the_training_does(data, recipe_file, tmp_path):
    code = f"""
import sys
for name in ("PIL", "openvino", "onnx", "onnxscript", "jinja2", "matplotlib", "tensorboard"):
    sys.modules[name] = None  # importing it fails
from derain.cli import main
sys.argv = ["derain", "train", {str(recipe_file)!r}, "--data", {str(data)!r},
            "--out", {str(tmp_path / "run")!r}, "--device", "cpu"]
main()
"""
    process = subprocess.run(
        [sys.executable, "-c", code], env=ONE_THREAD, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    assert "no .onnx was written: onnx is missing (`pip install derain[train]`)" in process.stderr
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name RECIPE, --data and --out to start a run"),
        (["{recipe}", "--data", "{data}"], "name RECIPE, --data and --out"),
        (["--resume", "nowhere"], "nowhere: no training run there"),
        (["{recipe}", "--resume", "x"], "--resume RUN takes recipe and folder from the run"),
        (["no.toml", "--data", ".", "--out", "x"], "no.toml: no such recipe"),
        (["{recipe}", "--data", "{data}", "--out", "x", "--set", "optimiser.lrr=1"], "'lr'"),
        (["{recipe}", "--data", "nowhere", "--out", "x"], "clean: no such file or folder"),
        (["{recipe}", "--data", "{data}", "--out", "x", "--device", "cuda:99"], "no cuda:99"),
        (["{recipe}", "--data", "{data}", "--out", "x", "--set", "loss.l3=1"], "unknown loss 'l3'"),
        (["{recipe}", "--data", "{data}", "--out", "x", "--set", "network=y"], "unknown network"),
        (["{recipe}", "--data", "{data}", "--out", "x", "--set", "init=y"], "neither a model file"),
    ],
)
def test_mistakes_are_one_line_that_names_the_way_out(
    arguments, words, data, recipe_file, tmp_path, monkeypatch, capsys
):
    from derain.cli import main

    monkeypatch.chdir(tmp_path)
    filled = [a.format(recipe=recipe_file, data=data) for a in arguments]
    monkeypatch.setattr(sys, "argv", ["derain", "train", *filled])
    with pytest.raises(SystemExit) as error:
        main()
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("x").exists()
