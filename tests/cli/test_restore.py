"""`derain restore` as a user types it, good and bad input."""

import http.server
import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from derain.weights.catalog import DEFAULT


def image(path, size=(48, 40), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def leftovers(folder):
    return [p for p in folder.rglob("*") if "partial" in p.name]


def test_one_image(derain, tmp_path):
    source = image(tmp_path / "photo.jpg")
    code, out, err = derain("restore", source)
    assert code == 0
    assert out == ""
    with Image.open(tmp_path / "photo_derained.jpg") as result:
        assert (result.format, result.size) == ("JPEG", (48, 40))
    first, second = err.splitlines()
    for word in ("derain 0.", DEFAULT, "OpenVINO on CPU", "tiles"):
        assert word in first
    assert "photo_derained.jpg" in second


def test_nothing_is_overwritten_unasked(derain, tmp_path):
    source = image(tmp_path / "photo.png")
    target = tmp_path / "photo_derained.png"
    target.write_bytes(b"precious")
    code, _, err = derain("restore", source)
    assert code == 1
    assert "exists already; --overwrite" in err
    code, _, err = derain("restore", source, "--skip-existing")
    assert (code, target.read_bytes()) == (0, b"precious")
    assert "skipped" in err
    assert derain("restore", source, "--overwrite")[0] == 0
    assert Image.open(target).size == (48, 40)


def test_a_batch_with_bad_files_does_the_rest_and_lists_them(derain, tmp_path):
    folder, out, log = tmp_path / "in", tmp_path / "out", tmp_path / "log.jsonl"
    image(folder / "good.jpg")
    image(folder / "deep" / "good.png")
    (folder / "text.jpg").write_text("this is no image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(image(tmp_path / "whole.jpg").read_bytes()[:1500])
    frames = [Image.new("L", (9, 9), i) for i in (0, 99)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    code, _, err = derain("restore", folder, "-r", tmp_path / "gone.jpg", "-o", out, "--log", log)
    assert code == 1
    done = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert done == {"good.jpg", "deep/good.png", "moving.gif"}
    listed = err[err.index("failed:") :]
    for name in ("text.jpg", "empty.png", "cut.jpg", "gone.jpg"):
        assert name in listed
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["status"] for line in lines} == {"restored", "failed"}
    assert len(lines) == 7
    good = next(line for line in lines if line["source"].endswith("deep/good.png"))
    assert (good["width"], good["height"], good["error"]) == (48, 40, None)


def test_options_change_the_result(derain, tmp_path):
    source = image(tmp_path / "a.png")
    pixels = np.asarray(Image.open(source))
    assert derain("restore", source, "-o", tmp_path / "0.png", "--strength", 0)[0] == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "0.png")), pixels)
    assert derain("restore", source, "-o", tmp_path / "out", "--format", "jpg")[0] == 0
    assert Image.open(tmp_path / "out" / "a.jpg").format == "JPEG"
    for quality in (30, 95):
        target = tmp_path / f"q{quality}.jpg"
        assert derain("restore", source, "-o", target, "--quality", quality)[0] == 0
    assert (tmp_path / "q30.jpg").stat().st_size < (tmp_path / "q95.jpg").stat().st_size


def test_a_rain_layer_lies_beside_its_result_and_adds_up_to_the_image(derain, tmp_path):
    source = image(tmp_path / "in" / "a.png")
    assert derain("restore", source, "--rain-layer", "--strength", 1.5)[0] == 0
    rainy, clean, rain = (
        np.asarray(Image.open(source.with_stem(name)), int)
        for name in ("a", "a_derained", "a_derained_rain")
    )
    darker = clean <= rainy
    assert rain.any()
    assert np.array_equal((clean + rain)[darker], rainy[darker])
    assert not rain[~darker].any()

    image(tmp_path / "in" / "deep" / "b.jpg")
    before = {path: path.read_bytes() for path in (tmp_path / "in").glob("*.png")}
    code, _, err = derain("restore", tmp_path / "in", "-r", "--rain-layer", "--skip-existing")
    assert code == 0  # nothing of the first run is taken for an image to restore
    assert err.count("skipped") == 2  # one line and the sum
    assert {p.name for p in (tmp_path / "in" / "deep").iterdir()} == {
        "b.jpg", "b_derained.jpg", "b_derained_rain.jpg",
    }  # fmt: skip
    assert before == {path: path.read_bytes() for path in (tmp_path / "in").glob("*.png")}
    assert derain("restore", source, "-o", tmp_path / "out", "--rain-layer")[0] == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "a_rain.png"}


def test_a_rain_layer_replaces_nothing_and_has_to_have_a_place(derain, tmp_path):
    source = image(tmp_path / "a.png")
    layer = tmp_path / "a_derained_rain.png"
    layer.write_bytes(b"precious")
    code, _, err = derain("restore", source, "--rain-layer")
    assert code == 1
    assert "a_derained_rain.png: exists already" in err
    assert layer.read_bytes() == b"precious"
    assert not (tmp_path / "a_derained.png").exists()
    assert derain("restore", source, "--rain-layer", "--overwrite")[0] == 0
    assert Image.open(layer).size == (48, 40)
    code, _, err = derain("restore", source, "--rain-layer", "-o", "-")
    assert code == 1
    assert "its rain layer goes beside the result; name a file with -o" in err


def test_a_clip_has_no_rain_layer_and_the_images_beside_it_have(derain, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "clip.mp4").write_bytes(bytes(99))
    image(tmp_path / "in" / "a.png")
    code, _, err = derain("restore", tmp_path / "in", "-o", tmp_path / "out", "--rain-layer")
    assert code == 1
    assert "clip.mp4: a clip has no rain layer; leave out --rain-layer" in err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "a_rain.png"}


def test_a_pipe_in_and_out(tmp_path):
    source = image(tmp_path / "a.png")
    with source.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "derain", "restore", "-"],
            stdin=stdin, capture_output=True, check=True,
        )  # fmt: skip
    with Image.open(io.BytesIO(done.stdout)) as result:
        assert (result.format, result.size) == ("PNG", (48, 40))


def test_an_address(derain, tmp_path):
    source = image(tmp_path / "web.jpg")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/web.jpg"
            self.send_response(200 if found else 404)
            self.end_headers()
            if found:
                self.wfile.write(source.read_bytes())

        def log_message(self, format, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        assert derain("restore", f"{base}/web.jpg", "-o", tmp_path / "out")[0] == 0
        assert Image.open(tmp_path / "out" / "web.jpg").size == (48, 40)
        code, _, err = derain("restore", f"{base}/gone.jpg", "-o", tmp_path / "out")
        assert code == 1
        assert "gone.jpg: Not Found" in err
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "mspfn-light"], "known name"),
        (["--model", "broken.onnx"], "broken.onnx: not"),
        (["--device", "cuda"], "no cuda"),
        (["--device", "gpu"], "known: auto, cpu"),
        (["--tile", "tiny"], "tile must be"),
        (["--memory", "lots"], "such as 2GB"),
        (["--format", "gfi"], "unknown format"),
        (["--max-pixels", "100"], "megapixels; --max-pixels"),
        (["-o", "file.txt/out"], "file.txt"),
        (["--format", "gif", "--strength", "2"], "strength"),
    ],
)
def test_each_mistake_is_one_line_and_a_non_zero_exit(
    derain, tmp_path, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "a.jpg")
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    (tmp_path / "file.txt").write_text("a file, not a folder")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    code, _, err = derain("restore", "a.jpg", *options)
    assert code != 0
    assert words in err
    assert sum("error" in line.lower() for line in err.splitlines()) == 1
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_a_model_of_a_newer_format_says_to_upgrade(derain, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    path = tmp_path / "new.safetensors"
    record = {"format": 99, "name": "x", "network": "mspfn-lite"}
    save_file({"a": torch.zeros(1)}, path, {"derain": json.dumps(record)})
    code, _, err = derain("restore", image(tmp_path / "a.jpg"), "--model", path)
    assert code == 1
    assert "written by a newer derain (format 99" in err


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_temporary_file(tmp_path):
    for i in range(60):
        image(tmp_path / "in" / f"{i:02}.png", size=(600, 500))
    process = subprocess.Popen(
        [sys.executable, "-m", "derain", "restore", str(tmp_path / "in"),
         "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err
    assert "Traceback" not in err
    finished = list(tmp_path.glob("out/*.png"))
    assert 1 <= len(finished) < 60
    for path in finished:
        Image.open(path).load()
    assert not leftovers(tmp_path)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path):
    small = image(tmp_path / "in" / "small.png", size=(20, 20))
    image(tmp_path / "in" / "large.png", size=(300, 300))
    limit = 100_000  # bytes in a file: the system's own refusal, as a full disk's

    def refuse():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "derain", "restore", str(tmp_path / "in"),
         "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE, text=True, check=False, preexec_fn=refuse,
    )  # fmt: skip
    assert done.returncode == 1
    assert "large.png" in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == [small.name]


def test_an_unwritable_folder_is_named(derain, tmp_path):
    if os.geteuid() == 0:
        target = "/proc/out"  # where not even root may write
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        target = str(tmp_path / "locked" / "out")
    code, _, err = derain("restore", image(tmp_path / "a.jpg"), "-o", target)
    assert code == 1
    assert target in err


def test_a_log_is_never_written_into_an_image(derain, tmp_path):
    source = image(tmp_path / "a.jpg")
    before = source.read_bytes()
    code, _, err = derain("restore", source, "--log", source)
    assert code == 1
    assert "would write into an image" in err
    assert source.read_bytes() == before


def test_odd_names_are_said_in_one_line(derain, tmp_path):
    odd = tmp_path / "a\n\x1b[31m[red]b.png"
    odd.write_bytes(b"no image")
    code, _, err = derain("restore", odd, tmp_path / ("x" * 300), "--device", "cpu")
    assert code == 1
    assert "\x1b" not in err
    assert "a\\n\\x1b[31m[red]b.png: not an image" in err
    assert f"{'x' * 300}: no such file or folder" in err
