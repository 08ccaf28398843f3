"""What tests share."""

import gc
import sys

import pytest

from derain.cli import main

# An export makes millions of small objects that live to its end: a fifth of its time went into
# looking for garbage among them.
gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def compiled_networks(tmp_path_factory):
    """Keep compiled networks in a folder of the tests, not in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derain.engines.kept.user_cache", lambda: folder)
        yield


@pytest.fixture
def derain(monkeypatch, capsys):
    """Run a command line; returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["derain", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        code = exit_.value.code
        out, err = capsys.readouterr()
        if isinstance(code, str):
            code, err = 1, err + code + "\n"
        assert "Traceback" not in err
        return code or 0, out, err

    return run
