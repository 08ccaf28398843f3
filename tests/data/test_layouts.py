from collections import Counter
from pathlib import Path

import pytest

from derain.data.layouts import find_set, find_sets
from derain.data.public import SETS

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


# The set, the files of two pairs as they come in a copy, and the pairs: rainy, clean
COPIES = {
    "MSPFN's Rain100H": (
        "rain100h",
        ("R100H/inputcrop/1.png", "R100H/cleancrop/1.png"),
        ("R100H/inputcrop/2.png", "R100H/cleancrop/2.png"),
    ),
    "MPRNet's Rain13K": (
        "test2800",
        ("test/Test2800/input/801_1.jpg", "test/Test2800/target/801_1.jpg"),
        ("test/Test2800/input/801_2.jpg", "test/Test2800/target/801_2.jpg"),
    ),
    "PReNet's Rain100L": (
        "rain100l",
        ("Rain100L/rainy/rain-001.png", "Rain100L/norain-001.png"),
        ("Rain100L/rainy/rain-002.png", "Rain100L/norain-002.png"),
    ),
    "JORDER's Rain100H, one folder": (
        "rain100h",
        ("Rain100H/rain-001.png", "Rain100H/norain-001.png"),
        ("Rain100H/rain-002.png", "Rain100H/norain-002.png"),
    ),
    "JORDER's second edition": (
        "rain200h",
        (
            "rain_data_test_Heavy/rain_heavy_test/rain/X2/norain-1x2.png",
            "rain_data_test_Heavy/rain_heavy_test/norain/norain-1.png",
        ),
        (
            "rain_data_test_Heavy/rain_heavy_test/rain/X2/norain-2x2.png",
            "rain_data_test_Heavy/rain_heavy_test/norain/norain-2.png",
        ),
    ),
    "RCDNet's test/small": (
        "rain200l",
        ("Rain200L/test/small/rain/norain-1.png", "Rain200L/test/small/norain/norain-1.png"),
        ("Rain200L/test/small/rain/norain-2.png", "Rain200L/test/small/norain/norain-2.png"),
    ),
    "DRSformer's Rain200H beside its training images": (
        "rain200h",
        ("Datasets/test/Rain200H/input/1.png", "Datasets/test/Rain200H/target/1.png"),
        ("Datasets/test/Rain200H/input/2.png", "Datasets/test/Rain200H/target/2.png"),
        "Datasets/train/Rain200H/input/1.png",
        "Datasets/train/Rain200H/target/1.png",
    ),
    "DDN's Rain1400": (
        "rain1400",
        (
            "rainy_image_dataset/testing/rainy_image/901_1.jpg",
            "rainy_image_dataset/testing/ground_truth/901.jpg",
        ),
        (
            "rainy_image_dataset/testing/rainy_image/901_14.jpg",
            "rainy_image_dataset/testing/ground_truth/901.jpg",
        ),
    ),
    "Rain12": (
        "rain12",
        ("Rain12/001_in.png", "Rain12/001_GT.png"),
        ("Rain12/002_in.png", "Rain12/002_GT.png"),
    ),
    "PReNet's Rain12": (
        "rain12",
        ("test12/rainy/1.png", "test12/groundtruth/1.png"),
        ("test12/rainy/2.png", "test12/groundtruth/2.png"),
    ),
    "SPANet's test set": (
        "spa-data",
        ("Testing/real_test_1000/rain/000.png", "Testing/real_test_1000/gt/000gt.png"),
        ("Testing/real_test_1000/rain/001.png", "Testing/real_test_1000/gt/001gt.png"),
    ),
    "ID-CGAN's test_syn": (
        "test100",
        ("rain/test_syn/1.jpg", "left"),
        ("rain/test_syn/2.jpg", "left"),
    ),
    "DID-MDN's test set": (
        "test1200",
        ("DID-MDN-datasets/DID-MDN-test/0.jpg", "right"),
        ("DID-MDN-datasets/DID-MDN-test/1.jpg", "right"),
    ),
    "DID-MDN's training set": (
        "rain1200-train",
        ("DID-MDN-training/Rain_Heavy/train2018new/0.jpg", "right"),
        ("DID-MDN-training/Rain_Medium/train2018new/0.jpg", "right"),
        "DID-MDN-training/Rain_Light/train2018new/0.jpg",
    ),
    "SPA-Data's training set": (
        "spa-data-train",
        ("SPA-Data-train/real_world/014/014_1.png", "SPA-Data-train/real_world_gt/014/014.png"),
        ("SPA-Data-train/real_world/014/014_2.png", "SPA-Data-train/real_world_gt/014/014.png"),
    ),
    "JORDER's training set": (
        "rain200h-train",
        (
            "rain_data_train_Heavy/rain/X2/norain-1x2.png",
            "rain_data_train_Heavy/norain/norain-1.png",
        ),
        (
            "rain_data_train_Heavy/rain/X2/norain-2x2.png",
            "rain_data_train_Heavy/norain/norain-2.png",
        ),
    ),
    "DDN's training set": (
        "rain1400-train",
        ("Rain1400-train/rainy_image/1_1.jpg", "Rain1400-train/ground_truth/1.jpg"),
        ("Rain1400-train/rainy_image/1_2.jpg", "Rain1400-train/ground_truth/1.jpg"),
    ),
    "DDN's own folders": (
        "rain1400-train",
        (
            "rainy_image_dataset/training/rainy_image/1_1.jpg",
            "rainy_image_dataset/training/ground_truth/1.jpg",
        ),
        (
            "rainy_image_dataset/training/rainy_image/1_2.jpg",
            "rainy_image_dataset/training/ground_truth/1.jpg",
        ),
    ),
    "a training half inside its set's folder": (
        "rain200h-train",
        ("Rain200H/train/input/1.png", "Rain200H/train/target/1.png"),
        ("Rain200H/train/input/2.png", "Rain200H/train/target/2.png"),
    ),
    "MSPFN's COCO350": (
        "coco350",
        ("COCO350/input/1.png", "COCO350/target/1.png"),
        ("COCO350/input/2.png", "COCO350/target/2.png"),
    ),
    "MPID's RID": (
        "rid",
        ("RID/1.jpg", None),
        ("RID/2.jpg", None),
    ),
    "SIRR": (
        "real147",
        ("SIRR/real_input/rain-1.png", None),
        ("SIRR/real_input/rain-2.png", None),
    ),
}


@pytest.mark.parametrize("copy", COPIES)
def test_every_copy_of_a_set_gives_its_pairs(tmp_path: Path, copy: str) -> None:
    name, first, second, *others = COPIES[copy]
    sides = ("left", "right")
    files = [file for pair in (first, second) for file in pair if file and file not in sides]
    touch(tmp_path, *files, *others)
    found = find_set(tmp_path, name)
    assert len(found.items) == (3 if name == "rain1200-train" else 2)
    for item, (rainy, clean) in zip(found.items, (first, second), strict=False):
        assert item.rainy == tmp_path / rainy
        if clean in sides:
            assert (item.clean, item.clean_half) == (item.rainy, clean)
        else:
            assert item.clean == (tmp_path / clean if clean else None)
            assert item.clean_half == ""
    assert found.has_truth == (first[1] is not None)
    assert [one.name for one in find_sets(tmp_path)[0]] == [name]


def test_images_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        touch(tmp_path, f"rainy/{number}.png", f"clean/{number}.jpg")
    found = find_set(tmp_path, ".")
    assert [item.name for item in found.items] == ["1", "9", "10", "100"]
    assert [item.name for item in found.first(2).items] == ["1", "9"]
    assert found.first(None) == found


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    touch(tmp_path, "mine/a/rainy/x.png", "mine/a/clean/x.png", "mine/walks/1.jpg", "mine/b/2.jpg")
    own = find_set(tmp_path / "mine", "a")
    assert (own.name, own.title, own.public) == ("a", "a", None)
    assert find_set(tmp_path, "mine/walks").items[0].clean is None
    assert find_set(tmp_path, "mine/b:clean-right").items[0].clean_half == "right"
    assert find_set(tmp_path, "mine/a:real").items[0].rainy == tmp_path / "mine/a/rainy/x.png"
    assert not find_set(tmp_path, "mine/a:real").has_truth


def test_a_hint_overrules_what_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "Test1200/1.jpg")
    assert find_set(tmp_path, "test1200").items[0].clean_half == "right"
    assert find_set(tmp_path, "test1200:clean-left").items[0].clean_half == "left"


def test_a_folder_of_a_public_name_is_that_set(tmp_path: Path) -> None:
    touch(tmp_path, "old/Rain_100H/rainy/1.png", "old/Rain_100H/clean/1.png")
    assert find_set(tmp_path, "old/Rain_100H").name == "rain100h"
    assert find_set(tmp_path / "old" / "Rain_100H", ".").name == "rain100h"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown set 'rain5'; known: rain100h, "):
        find_set(tmp_path, "rain5")
    with pytest.raises(ValueError, match=r"no Rain100H in it \(a folder named like rain100h"):
        find_set(tmp_path, "rain100h")
    with pytest.raises(ValueError, match="no such folder"):
        find_set(tmp_path / "none", "rain100h")
    with pytest.raises(ValueError, match="no such folder"):
        find_sets(tmp_path / "none")
    touch(tmp_path, "Rain100H/readme.txt")
    with pytest.raises(ValueError, match=r"no pairs in it; looked for .* need :clean-left"):
        find_set(tmp_path, "rain100h")
    touch(tmp_path, "Rain100H/rainy/1.png", "Rain100H/rainy/2.png", "Rain100H/clean/3.png")
    with pytest.raises(
        ValueError, match=r"rainy/1.png: no matching image in .*clean \(1 more like it"
    ):
        find_set(tmp_path, "rain100h")
    touch(tmp_path, "Rain100H/clean/1.png", "Rain100H/clean/2.png")
    with pytest.raises(ValueError, match=r"clean/3.png: no matching image in .*rainy$"):
        find_set(tmp_path, "rain100h")
    touch(tmp_path, "Rain100H/rainy/1.jpg")
    with pytest.raises(ValueError, match=r"1.jpg and .*1.png have the same name"):
        find_set(tmp_path, "rain100h")
    found, problems = find_sets(tmp_path)
    assert found == []
    assert [problem[:8] for problem in problems] == ["Rain100H"]


def test_two_copies_are_not_guessed_between(tmp_path: Path) -> None:
    for place in ("a", "b"):
        touch(tmp_path, f"{place}/Rain100H/rainy/1.png", f"{place}/Rain100H/clean/1.png")
    with pytest.raises(ValueError, match="there twice, a/Rain100H and b/Rain100H; name the folder"):
        find_set(tmp_path, "rain100h")
    assert find_set(tmp_path, "b/Rain100H").folder == tmp_path / "b" / "Rain100H"


def test_what_file_managers_leave_behind_is_no_image(tmp_path: Path) -> None:
    touch(tmp_path, "rainy/1.png", "rainy/._1.png", "rainy/Thumbs.db", "clean/1.png", ".git/rain12")
    assert len(find_set(tmp_path, ".").items) == 1


def test_no_two_sets_answer_to_one_folder_name() -> None:
    names = Counter(name for public in SETS.values() for name in public.folders)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(name == name.lower() and name.isalnum() for name in names)


def test_sets_that_papers_confuse_can_be_told_apart() -> None:
    for one, other in (("rain100h", "rain200h"), ("rain100l", "rain200l")):
        a, b = SETS[one], SETS[other]
        assert a.pairs != b.pairs
        assert abs((a.input_psnr or 0) - (b.input_psnr or 0)) > 0.15
        assert dict(a.other_counts)[b.pairs].endswith(b.title)


def test_every_set_says_where_it_comes_from() -> None:
    for public in SETS.values():
        assert public.home.startswith("http")
        assert public.licence
        assert public.overlaps
        assert public.pairs >= 12


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data at {SHARED}")
def test_the_sets_on_this_machine() -> None:
    found, problems = find_sets(SHARED)
    counts = {one.name: len(one.items) for one in found}
    assert counts == {"rain100h": 100, "test100": 100, "real147": 147, "rain800": 686}
    assert problems == []


def test_the_list_of_spa_data_tells_its_pairs(tmp_path: Path) -> None:
    touch(tmp_path, "train/real_world/a/7.png", "train/real_world_gt/b/9.png")
    (tmp_path / "train/real_world.txt").write_text("/real_world/a/7.png /real_world_gt/b/9.png\n")
    (pair,) = find_set(tmp_path, "train").items
    assert (pair.name, pair.clean) == ("a/7", tmp_path / "train/real_world_gt/b/9.png")


def test_both_halves_of_a_set_are_found_in_its_folder(tmp_path: Path) -> None:
    for half in ("train", "test"):
        touch(tmp_path, f"Rain200H/{half}/input/1.png", f"Rain200H/{half}/target/1.png")
    found, problems = find_sets(tmp_path)
    assert [(one.name, one.items[0].rainy) for one in found] == [
        ("rain200h", tmp_path / "Rain200H/test/input/1.png"),
        ("rain200h-train", tmp_path / "Rain200H/train/input/1.png"),
    ]
    assert problems == []


def test_the_densities_of_one_set_are_no_sets_of_their_own(tmp_path: Path) -> None:
    """Rain_Heavy alone is a name of Rain200H."""
    for density in ("Rain_Heavy", "Rain_Medium", "Rain_Light"):
        touch(tmp_path, f"DID-MDN-training/{density}/train2018new/3.jpg")
    found, problems = find_sets(tmp_path)
    assert ([one.name for one in found], problems) == (["rain1200-train"], [])


def test_each_paper_recipe_finds_its_pairs_where_it_says(tmp_path: Path) -> None:
    """The training halves as their authors pack them, under the paths of recipes/papers/."""
    touch(
        tmp_path, *(f"Rain1200/train/{d}/train2018new/3.jpg" for d in ("Rain_Heavy", "Rain_Light"))
    )
    touch(tmp_path, "Rain1200/train/Rain_Medium/train2018new/3.jpg")
    touch(tmp_path, "SPA-Data/train/real_world/1/1-2.png", "SPA-Data/train/real_world_gt/1/1.png")
    touch(tmp_path, "Rain1400/training/rainy_image/1_1.jpg", "Rain1400/training/ground_truth/1.jpg")
    for path, count in (("Rain1200/train", 3), ("SPA-Data/train", 1), ("Rain1400/training", 1)):
        folder = tmp_path / path
        assert len(find_set(folder.parent, folder.name).items) == count
