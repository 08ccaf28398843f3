import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest

from derain.metrics import METRICS, ParametersError, bind, parameters
from derain.metrics.parameters import FILES, fetch_parameters, find_parameters, load_parameters

NAME = FILES["niqe"].name


@pytest.fixture(autouse=True)
def _no_files_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(parameters.ENVIRONMENT_VARIABLE, raising=False)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stand-in for the authors' file, to be had from a file:// address."""
    content = b"parameters"
    served = tmp_path / "served.mat"
    served.write_bytes(content)
    pinned = dataclasses.replace(
        FILES["niqe"], url=served.as_uri(), sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setitem(FILES, "niqe", pinned)
    return content


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / NAME
    path.touch()
    return path


def test_argument_then_environment_then_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = put(tmp_path / "cache")
    assert find_parameters("niqe") == cached
    from_environment = put(tmp_path / "environment")
    monkeypatch.setenv("DERAIN_IQA_DIR", str(from_environment.parent))
    assert find_parameters("niqe") == from_environment
    given = put(tmp_path / "given")
    assert find_parameters("niqe", given.parent) == find_parameters("niqe", given) == given


def test_a_given_place_that_lacks_the_file_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "cache")
    with pytest.raises(ParametersError, match="elsewhere"):
        find_parameters("niqe", tmp_path / "elsewhere")


def test_absence_is_one_line_with_the_ways_out() -> None:
    for name, metric in METRICS.items():
        if not metric.needs_parameters:
            continue
        with pytest.raises(ParametersError) as caught:
            bind(name)
        message = str(caught.value)
        assert "\n" not in message
        for part in (name, "fetch_parameters", "DERAIN_IQA_DIR", FILES[name].url):
            assert part in message


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match="not the authors' parameter file"):
        load_parameters("niqe", put(tmp_path / "given"))


def test_missing_scipy_names_the_extra(iqa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ParametersError, match=r"needs `pip install derain\[eval\]`$"):
        load_parameters("niqe", iqa / NAME)


def test_fetched_files_are_found(release: bytes, tmp_path: Path) -> None:
    path = fetch_parameters("niqe")
    assert path == find_parameters("niqe")
    assert path.read_bytes() == release
    assert list(path.parent.iterdir()) == [path]  # no remains of the download
    assert fetch_parameters("niqe", tmp_path / "other") == tmp_path / "other" / NAME


def test_an_intact_file_is_not_fetched_again(
    release: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_parameters("niqe")
    (tmp_path / "served.mat").unlink()
    assert fetch_parameters("niqe") == path
    path.write_bytes(release[:4])  # damaged: fetched anew, which now fails
    with pytest.raises(ParametersError, match="cannot download"):
        fetch_parameters("niqe")


def test_wrong_content_is_not_kept(release: bytes, tmp_path: Path) -> None:
    (tmp_path / "served.mat").write_bytes(b"a login page")
    with pytest.raises(ParametersError, match="sha256 differs"):
        fetch_parameters("niqe")
    assert not (tmp_path / "cache" / NAME).exists()


def test_a_closed_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = dataclasses.replace(FILES["sseq"], url="http://127.0.0.1:9/model.mat")
    monkeypatch.setitem(FILES, "sseq", closed)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ParametersError, match=r"cannot download http://127\.0\.0\.1:9") as caught:
        fetch_parameters("sseq", timeout=5)
    assert "\n" not in str(caught.value)
