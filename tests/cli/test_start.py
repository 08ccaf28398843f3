"""Starting is instant, and help, version and lists answer without the heavy libraries."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image


def modules_after(code):
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


HEAVY = {"torch", "openvino", "cv2", "numpy", "PIL", "scipy", "rich", "fastapi", "uvicorn", "httpx"}


@pytest.mark.parametrize("code", ["import derain", "import derain; derain.list_models()"])
def test_importing_derain_imports_nothing_heavy(code):
    assert not HEAVY & modules_after(code)


def test_help_imports_nothing_heavy():
    code = "sys.argv = ['derain', '--help']\nfrom derain.cli import main\n" \
           "try: main()\nexcept SystemExit: pass"  # fmt: skip
    assert not HEAVY & modules_after(code)


def test_loading_needs_no_torch():
    code = "sys.modules['torch'] = None\nimport derain\nderain.load()"
    assert "derain.engines.openvino" in modules_after(code)


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        (["models", "--all"], "torch", "torch"),
        (["export", "mspfn-lite", "-o", "x.onnx"], "onnx", "train"),
        (["train", "x.toml", "--data", "x", "--out", "y"], "torch", "torch"),
    ],
)
def test_a_missing_extra_names_its_install_line(derain, monkeypatch, command, missing, extra):
    for name in list(sys.modules):
        if name.startswith(("derain.models", "derain.export", "derain.training")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = derain(*command)
    assert code == 1
    assert err.strip() == f"error: this needs {missing}: `pip install derain[{extra}]`"


def test_version_and_unknown_command():
    import derain

    run = [sys.executable, "-m", "derain"]
    done = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"derain {derain.__version__}"
    done = subprocess.run([*run, "derian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "derian" in done.stderr


def test_the_end_looks_for_no_garbage_and_a_local_image_needs_no_http(tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
    command = ["derain", "restore", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]
    code = (
        f"import gc\nsys.argv = {command}\nfrom derain.__main__ import main\n"
        "try: main()\nexcept SystemExit: assert gc.get_freeze_count() > len(gc.get_objects())"
    )
    assert not {"urllib.request", "ssl", "torch", "onnx"} & modules_after(code)
    assert (tmp_path / "b.png").exists()


# What a shell runs, with a line on stdout as soon as Ctrl-C is watched for.
LAUNCH = """
import signal
watch = signal.signal

def tell(*given):
    watch(*given)
    signal.signal = watch
    print("ready", flush=True)

signal.signal = tell
from derain.__main__ import main
main()
"""


def stopped(image, **when):
    """Start `derain restore`, press Ctrl-C; returns the exit code, stdout and stderr."""
    command = ["restore", str(image), "-o", str(image.with_name("out.png")), "--device", "cpu"]
    code = LAUNCH
    if "module" in when:
        code = STOP_AT.format(when["module"]) + LAUNCH
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    if "seconds" in when:
        time.sleep(when["seconds"])
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


STOP_AT = """
import os, sys, signal
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
"""


@pytest.mark.parametrize(
    "module", ["derain.cli", "typer", "derain.cli.train", "numpy", "cv2", "derain.restore"]
)
def test_ctrl_c_in_an_import_ends_without_a_word(photo, module):
    assert stopped(photo, module=module) == (130, "", "")


@pytest.mark.parametrize("seconds", [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_ctrl_c_at_any_moment_is_one_line_at_most(photo, seconds):
    code, out, err = stopped(photo, seconds=seconds)
    said = [line for line in err.splitlines() if not line.startswith("derain 0.")]
    assert (code, out) == (130, "")
    words = "stopped; what is finished is kept, --resume goes on from here"
    assert said in ([], [words])


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"
