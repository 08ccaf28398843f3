"""The guide's table of speed is the one that the benchmark prints."""

from pathlib import Path

from benchmarks.video_speed import HEAD, pan, write_clip

from derain.video.clip import open_clip

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "video.md"


def test_the_guide_has_the_columns_of_the_benchmark():
    assert HEAD in GUIDE.read_text()


def test_the_clip_of_the_benchmark_pans(tmp_path):
    first, second = pan((48, 64), 2)
    assert (first[:, 3:] == second[:, :-3]).all()
    write_clip(tmp_path / "a.mp4", (48, 64), 5)
    with open_clip(tmp_path / "a.mp4") as clip:
        assert (clip.size, len(list(clip.frames()))) == ((48, 64), 5)
