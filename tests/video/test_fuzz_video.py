"""The benchmark that damages clips tells good from bad."""

import pytest
from benchmarks.fuzz_video import CODECS, damaged, good, outcome


@pytest.mark.parametrize("kind", list(CODECS))
def test_a_good_clip_is_restored_and_text_refused(tmp_path, kind):
    source, target = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    data = good(source)
    assert damaged(data, 1) == damaged(data, 1) != data
    assert outcome(source, target) == "restored"
    target.unlink()
    source.write_text("no clip" * 50)
    assert outcome(source, target) == "refused"


def test_what_is_left_behind_is_told(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    good(source)
    (tmp_path / "b.mp4.segments").mkdir()
    assert outcome(source, target) == "restored"  # what was there is replaced and removed
    (tmp_path / ".x.partial").touch()
    assert "left behind ['.x.partial']" in outcome(source, target)
