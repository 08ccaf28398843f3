import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from derain.data.layouts import find_set
from derain.evaluation.evaluate import Measured, Plan, evaluate
from derain.evaluation.models import EvaluationModel, rainy_input
from derain.evaluation.sets import read_pair
from derain.metrics import bind, psnr, quantise, ssim

Maker = Callable[..., EvaluationModel]
Halfway = Any  # the engine of conftest.py


def run(
    models: list[EvaluationModel], world: Path, plan: Plan | None = None, **options: object
) -> list[Measured]:
    sets = [find_set(world, "rain100h")]
    return evaluate(models, sets, plan or Plan(), world.parent / "cache", **options)  # type: ignore[arg-type]


def table(results: list[Measured]) -> list[tuple[str, dict[str, float]]]:
    return [(row.item.name, row.values) for result in results for row in result.rows]


def test_values_are_those_of_the_metrics(world: Path, engine: Halfway, make_model: Maker) -> None:
    before, after = run([rainy_input(), make_model(engine)], world)
    assert before.metrics == after.metrics == ("psnr", "ssim", "fsim")
    for one, two in zip(before.rows, after.rows, strict=True):
        rainy, clean = read_pair(one.item)
        assert clean is not None
        x = rainy / 255
        restored = quantise(x - 0.5 * np.maximum(x - 0.7, 0))
        assert one.values["psnr"] == psnr(rainy, clean)
        assert two.values["psnr"] == pytest.approx(psnr(restored, clean), abs=0.01)  # float32
        assert two.values["ssim"] == pytest.approx(ssim(restored, clean), abs=1e-3)
    assert after.means["psnr"] == np.mean([row.values["psnr"] for row in after.rows])
    assert after.seconds is not None
    assert after.seconds > 0
    assert before.seconds is None
    assert after.record.parameters == 168_963


def test_a_second_run_computes_nothing(world: Path, engine: Halfway, make_model: Maker) -> None:
    first = run([rainy_input(), make_model(engine)], world)
    calls = engine.calls
    assert calls == 5  # the first of four images runs twice, to be timed warm
    again = type(engine)(engine.record)
    second = run([rainy_input(), make_model(again)], world)
    assert again.calls == 0
    assert again.loaded == []  # not even loaded
    assert table(second) == table(first)
    assert [r.seconds for r in second[1].rows] == [r.seconds for r in first[1].rows]


def test_an_interrupted_run_goes_on(world: Path, engine: Halfway, make_model: Maker) -> None:
    whole = table(run([make_model(engine)], world))
    shutil.rmtree(world.parent / "cache")
    engine.fail_at, engine.calls = 4, 0
    with pytest.raises(KeyboardInterrupt):
        run([make_model(engine)], world)
    rest = type(engine)(engine.record)
    assert table(run([make_model(rest)], world)) == whole
    assert rest.calls == 3  # images 3 and 4, one of them twice


def test_a_killed_run_goes_on(world: Path, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from derain.data.layouts import find_set
        from derain.evaluation.models import EvaluationModel
        from derain.evaluation.evaluate import Plan, evaluate
        from derain.weights.record import Record

        class Slow(EvaluationModel):
            record = Record("slow", "none")
            def __call__(self, image):
                print("call", flush=True)
                time.sleep(float(sys.argv[1]))
                return image // 2
            def tiles(self, image):
                return False

        path = Path({str(tmp_path)!r}) / "slow.onnx"
        path.write_text("slow")
        sets = [find_set(Path({str(world)!r}), "rain100h")]
        (result,) = evaluate([Slow("slow", path)], sets, Plan(), Path(sys.argv[2]))
        print([(row.item.name, row.values) for row in result.rows])
    """)
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    start = [sys.executable, "-c", script]
    process = subprocess.Popen([*start, "0.2", str(slow)], stdout=subprocess.PIPE, text=True)
    lines = slow / "3b7a6e1a"  # whatever its name, one folder appears with one file in it
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = next(iter(slow.glob("*/rain100h.jsonl")), lines)
        if lines.exists() and lines.read_text().count("\n") >= 2:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = lines.read_text().count("\n")
    assert 2 <= kept < 4
    outputs = [
        subprocess.run([*start, "0", str(at)], capture_output=True, text=True, check=True).stdout
        for at in (slow, fast)
    ]
    again, uninterrupted = (output.splitlines() for output in outputs)
    assert again[-1] == uninterrupted[-1]  # the same table
    assert len(uninterrupted) - 1 == 5
    assert len(again) - 1 == 5 - kept


def test_more_metrics_join_the_cache(world: Path, engine: Halfway, make_model: Maker) -> None:
    model = make_model(engine)
    run([model], world, Plan(("psnr",)))
    engine.calls = 0
    (both,) = run([model], world, Plan(("psnr", "ssim")))
    assert both.metrics == ("psnr", "ssim")
    assert engine.calls == 5
    run([model], world, Plan(("ssim", "psnr")))
    run([model], world, Plan(("ssim",)))
    assert engine.calls == 5


def test_protocols_are_kept_apart(world: Path, engine: Halfway, make_model: Maker) -> None:
    model = make_model(engine)
    means = {
        protocol: run([model], world, Plan(("psnr",), protocol))[0].means["psnr"]
        for protocol in ("y", "rgb", "dcsfn", "y")
    }
    assert engine.calls == 15
    assert abs(means["y"] - means["rgb"]) > 0.5
    assert 1e-6 < abs(means["rgb"] - means["dcsfn"]) < 0.1  # rounding to 8 bits, and nothing else


def test_models_and_changed_images_are_measured_anew(
    world: Path, engine: Halfway, make_model: Maker
) -> None:
    run([make_model(engine)], world)
    other = type(engine)(engine.record, fraction=1)
    run([make_model(other, "other")], world)
    assert other.calls == 5
    for name in ("rainy", "clean"):
        shutil.copy(world / "Rain100H" / name / "1.png", world / "Rain100H" / name / "2.png")
    engine.calls = 0
    (result,) = run([make_model(engine)], world)
    assert engine.calls == 0  # the same content, under another name, is known
    assert result.rows[0].values == result.rows[1].values


def test_jobs_change_nothing(world: Path, engine: Halfway, make_model: Maker) -> None:
    alone = table(run([make_model(engine)], world))
    shutil.rmtree(world.parent / "cache")
    assert table(run([make_model(engine)], world, Plan(jobs=3))) == alone


def test_equal_images_are_infinite_and_counted(world: Path) -> None:
    clean = world / "Rain100H" / "clean" / "1.png"
    shutil.copy(clean, world / "Rain100H" / "rainy" / "1.png")
    (result,) = run([rainy_input()], world)
    assert result.means["psnr"] == math.inf
    assert result.infinite == 1
    assert run([rainy_input()], world)[0].means["psnr"] == math.inf  # from the cache


def test_a_broken_image_is_named_and_the_others_are_kept(
    world: Path, engine: Halfway, make_model: Maker
) -> None:
    broken = world / "Rain100H" / "rainy" / "3.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    with pytest.raises(ValueError, match=r"rainy/3.png: (damaged|not a readable) image"):
        run([make_model(engine)], world)
    broken.write_bytes(whole)
    engine.calls = 0
    run([make_model(engine)], world)
    assert engine.calls == 3


def test_what_a_network_does_wrong_is_named(
    world: Path, engine: Halfway, make_model: Maker
) -> None:
    engine.fraction = math.nan
    with pytest.raises(ValueError, match=r"rainy/1.png: half: .*not finite"):
        run([make_model(engine)], world)


def test_photographs_without_truth(world: Path, tmp_path: Path, shared: Path) -> None:
    photo = data.astronaut()[:200, :300]
    (tmp_path / "walks").mkdir()
    Image.fromarray(photo).save(tmp_path / "walks" / "1.png")
    found = find_set(tmp_path, "walks")
    plan = Plan(parameters=shared / "data" / "iqa")
    (result,) = evaluate([rainy_input()], [found], plan, tmp_path / "cache")
    assert result.metrics == ("niqe", "sseq")
    assert result.rows[0].values["niqe"] == bind("niqe", parameters=plan.parameters)(photo)


def test_without_parameter_files_the_others_go_on(world: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    plan = Plan(("psnr", "niqe"), parameters=tmp_path)
    (result,) = run([rainy_input()], world, plan, note=notes.append)
    assert result.metrics == ("psnr",)
    assert len(notes) == 1
    assert notes[0].startswith("niqe needs niqe_modelparameters.mat")
    with pytest.raises(ValueError, match="nothing was measured: niqe needs"):
        run([rainy_input()], world, Plan(("niqe",), parameters=tmp_path))


def test_wrong_names_are_said_before_anything_runs(
    world: Path, engine: Halfway, make_model: Maker
) -> None:
    with pytest.raises(ValueError, match="unknown protocol 'z'; known: y"):
        run([make_model(engine)], world, Plan(protocol="z"))
    with pytest.raises(ValueError, match="unknown metric 'lpips'; known: psnr"):
        run([make_model(engine)], world, Plan(("lpips",)))
    assert engine.calls == 0


def test_large_images_go_through_in_tiles_and_it_is_said(
    world: Path, engine: Halfway, make_model: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from derain import tile_budget

    monkeypatch.setattr(tile_budget, "WHOLE", 1000)
    monkeypatch.setattr(tile_budget, "TILE", 64)
    (result,) = run([make_model(engine)], world, Plan(("psnr",)))
    assert not any(row.tiled for row in result.rows)  # 64 pixels wide: one tile
    monkeypatch.setattr(tile_budget, "TILE", 63)
    (result,) = run([make_model(engine)], world, Plan(("psnr",)))  # other tiles: measured anew
    assert all(row.tiled for row in result.rows)
