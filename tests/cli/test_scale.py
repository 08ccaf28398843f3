"""What `derain restore --ray` says before anything starts."""

import socket

import pytest

pytest.importorskip("ray")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--suffix", "-dry", "-o", "out"], "--suffix does not apply with --ray"),
        (["--codec", "h264", "-o", "out"], "--codec does not apply with --ray"),
        (["--no-temporal", "-o", "out"], "--no-temporal does not apply with --ray"),
        ([], "--ray takes one folder of images, and -o"),
        (["-o", "-"], "--ray takes one folder of images, and -o"),
        (["-o", "out", "--format", "xyz"], "unknown format 'xyz'"),
        (["-o", "out", "--tile", "7"], "tile"),
        (["-o", "https://example.org/out"], "an address of the web"),
    ],
)
def test_what_does_not_apply_is_one_line_and_nothing_starts(
    derain, tmp_path, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    code, _, err = derain("restore", "in", "--ray", "local", "--device", "cpu", *options)
    assert code == 1
    assert words in err
    assert sum(line.startswith("error:") for line in err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_named(derain, tmp_path):
    code, _, err = derain("restore", tmp_path / "none", "--ray", "local", "-o", tmp_path / "out")
    assert (code, "none: no such folder" in err) == (1, True)


def test_a_cluster_that_does_not_answer_is_named(derain, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # where nobody listens afterwards
    (tmp_path / "in").mkdir()
    options = ("--ray", f"127.0.0.1:{port}", "--device", "cpu", "-o", tmp_path / "out")
    code, _, err = derain("restore", tmp_path / "in", *options)
    assert code == 1
    assert f"error: --ray 127.0.0.1:{port}: " in err


def test_options_of_ray_need_ray(derain, tmp_path):
    code, _, err = derain("restore", tmp_path, "--tar", "5")
    assert (code, "apply only with --ray" in err) == (1, True)
