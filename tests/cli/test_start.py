"""Starting is instant, and help, version and lists answer without the heavy libraries."""

import subprocess
import sys

import pytest


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
