"""Pieces of a run, names of results, manifests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from derain import scale
from derain.batch import BatchSettings
from derain.io import places
from derain.scale import listing, manifest
from derain.scale.plan import FILES, Plan, check, result_name

ENDINGS = st.lists(st.sampled_from([".png", ".jpg", ".jpeg", ".PNG", ".webp", ".x"]), max_size=3)
NAMES = st.builds(
    lambda ends, last: "a" + "".join(ends) + last,
    ENDINGS,
    st.sampled_from([".png", ".jpg", ".jpeg"]),
)


def never(threads):
    raise AssertionError


@given(NAMES, NAMES, st.sampled_from([None, "png", "JPG", "jpeg", "webp"]))
def test_no_two_images_share_a_result(one, other, format):
    if one != other:
        assert result_name(one, format) != result_name(other, format)


def test_results_have_the_format_that_was_asked_for():
    assert result_name("deep/a.jpg", None) == "deep/a.jpg"
    assert result_name("deep/a.jpeg", "jpg") == "deep/a.jpeg"
    assert result_name("a.jpg", "webp") == "a.jpg.webp"


@pytest.fixture
def plan(tmp_path):
    for name in ("a.png", "deep/b.jpg", ".hidden.png", "c.txt", "d.tar", "out/a.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Plan(str(tmp_path / "in"), str(tmp_path / "in" / "out"), never, recursive=True)


def test_images_and_shards_are_listed_but_neither_hidden_files_nor_results(plan):
    assert [f.name for f in listing.files(plan)] == ["a.png", "d.tar", "deep/b.jpg"]
    assert [[f.name for f in s.files] for s in listing.shards(plan)] == [
        ["d.tar"], ["a.png", "deep/b.jpg"],
    ]  # fmt: skip


def test_pieces_are_made_only_as_far_as_they_are_asked_for(tmp_path):
    for number in range(5 * FILES):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    asked = []
    pieces = listing.shards(Plan(str(tmp_path), str(tmp_path / "out"), never), asked.append)
    next(pieces)
    assert asked == [0]
    assert [s.number for s in pieces] == [1, 2, 3, 4]


def test_new_tar_shards_are_named_by_what_they_hold(tmp_path):
    def names(plan):
        return [shard.target for shard in listing.shards(plan)]

    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(b"x")
    plan = Plan(str(tmp_path), str(tmp_path / "out"), never, tar=2)
    before = names(plan)
    assert before == names(plan)
    assert len(set(before)) == 2
    (tmp_path / "aa.png").write_bytes(b"x")
    assert not set(before) & set(names(plan))


def row(name, status):
    return manifest.Row(name, name, status, model="m")


def test_a_manifest_says_what_became_of_each_file_and_what_failed_last(plan):
    first = manifest.Writer(plan)
    first.add([row("a", "done"), row("b", "failed"), row("c", "failed")])
    first.flush()
    second = manifest.Writer(plan)
    second.add([row("b", "done")])
    second.flush()
    assert [(r["source"], r["status"]) for r in scale.read_manifest(plan.out)] == [
        ("a", "done"), ("b", "failed"), ("c", "failed"), ("b", "done"),
    ]  # fmt: skip
    assert manifest.failed_before(plan.out) == {"c"}
    names = [f.name for f in places.list_files(f"{plan.out}/_derain", recursive=True)]
    assert names == [
        "run-0001/part-000000.parquet", "run-0001/run.json",
        "run-0002/part-000000.parquet", "run-0002/run.json",
    ]  # fmt: skip


def test_a_run_goes_on_only_as_it_began(plan):
    from dataclasses import replace

    manifest.Writer(plan)
    manifest.Writer(replace(plan, resume=True))
    with pytest.raises(ValueError, match=r"had format None, this one 'jpg'.*--resume"):
        manifest.Writer(replace(plan, resume=True, settings=BatchSettings("jpg")))


def test_what_cannot_be_is_said_before_anything_starts(plan, tmp_path):
    from dataclasses import replace

    for changed, words in (
        (replace(plan, settings=BatchSettings("xyz")), "unknown format"),
        (replace(plan, source=str(tmp_path / "none")), "no such folder"),
        (replace(plan, out=plan.source + "/"), "would lie among the images"),
    ):
        with pytest.raises(ValueError, match=words):
            check(changed)
