"""Commands that read images behind URLs, and those that say that they take paths only."""

import numpy as np
import pytest

from derain.data.crops import Source
from derain.io import places
from derain.io.decode import DecodedImage
from derain.io.encode import encode_image
from derain.io.formats import ImageError
from derain.io.mirror import mirror
from derain.training.recipe import DataRecipe, Recipe, SourceRecipe
from derain.training.sources import local_root, read_sources

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def root():
    """A folder in memory with pairs and with what is no image."""
    place, system = "memory://test-urls", fsspec.filesystem("memory")
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 200, (40, 60, 3), np.uint8)
        for side, more in (("clean", 0), ("rainy", 20)):
            data = encode_image(DecodedImage(pixels + np.uint8(more), "PNG"))
            places.write(f"{place}/own/{side}/{number}.png", data)
    places.write(f"{place}/other/0.png", places.read(f"{place}/own/clean/0.png"))
    places.write(f"{place}/own/notes.txt", b"text")
    yield place
    system.rm("/test-urls", recursive=True)


def test_an_error_names_the_url_and_not_its_copy(root, derain):
    places.write(f"{root}/own/clean/9.png", places.read(f"{root}/own/clean/0.png"))
    code, _, err = derain("metrics", f"{root}/own/rainy", f"{root}/own/clean/")
    assert code == 1
    assert err.endswith(f"error: {root}/own/clean/9.png: no matching image in {root}/own/rainy\n")


def test_a_copy_fetches_only_what_is_missing(root, tmp_path, monkeypatch):
    copy = mirror(root, tmp_path)
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    pairs = {f"own/{side}/{n}.png" for side in ("clean", "rainy") for n in range(3)}
    assert names == pairs | {"other/0.png"}
    (copy / "own/clean/1.png").unlink()
    (copy / "own/rainy/2.png").write_bytes(b"half")
    fetched, fetch = [], places.fetch

    def told(place, target):
        fetched.append(place)
        fetch(place, target)

    monkeypatch.setattr(places, "fetch", told)
    assert mirror(f"{root}/", tmp_path) == copy
    assert fetched == [f"{root}/own/clean/1.png", f"{root}/own/rainy/2.png"]
    assert (copy / "own/rainy/2.png").read_bytes() == places.read(f"{root}/own/rainy/2.png")


def test_a_copy_of_nothing_is_refused_by_name(root, tmp_path):
    with pytest.raises(ImageError, match=f"{root}/none"):
        mirror(f"{root}/none", tmp_path)


def test_a_recipe_trains_on_what_it_names_behind_a_url(root, tmp_path):
    recipe = Recipe("a", "mspfn", DataRecipe((SourceRecipe("own", "folders"),), validation=1))
    with pytest.raises(ValueError, match="--cache"):
        local_root(recipe, root, None)
    folder = local_root(recipe, root, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["own"]
    sources, pairs = read_sources(recipe, folder, tmp_path)
    assert [type(source) for source in sources] == [Source]
    assert (len(sources[0].pairs), len(pairs)) == (2, 1)
    assert local_root(recipe, str(tmp_path), None) == tmp_path


def test_rain_is_drawn_on_images_behind_a_url(derain, root, tmp_path):
    code, _, err = derain("synthesize", f"{root}/own/clean", "-o", tmp_path, "--preset", "rain100l")
    assert (code, "3 pairs written" in err) == (0, True)


def test_a_set_behind_a_url_is_evaluated(derain, root, tmp_path):
    options = ("--model", "nafnet-small", "--device", "cpu", "-m", "psnr", "-o", tmp_path)
    code, out, _ = derain("evaluate", "--data", root, "--set", "own", *options)
    assert (code, "own" in out) == (0, True)
    assert (tmp_path / "summary.csv").is_file()


def test_one_looks_into_an_image_behind_a_url(derain, root, tmp_path):
    code, _, _ = derain("inspect", f"{root}/other/0.png", "-o", tmp_path)
    assert code == 0
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("synthesize", "in", "-o", "s3://bucket/out"), "--out s3://bucket/out"),
        (("evaluate", "--data", "in", "-o", "s3://bucket/out"), "--out s3://bucket/out"),
        (
            ("train", "s3://bucket/a.toml", "--data", "in", "--out", "o"),
            "recipe s3://bucket/a.toml",
        ),
        (("figure", "--data", "in", "--set", "a", "-o", "gs://b/a.pdf"), "--out gs://b/a.pdf"),
        (
            ("downstream", "--task", "detect", "--model", "m", "--ann", "a", "--rain", "s3://b/a"),
            "--rain s3://b/a",
        ),
        (("inspect", "a.png", "-o", "memory://x"), "--out memory://x"),
    ],
)
def test_where_only_paths_are_taken_a_url_is_refused_by_name(derain, arguments, words):
    code, _, err = derain(*arguments)
    assert code == 1
    assert err == f"error: {words}: this takes paths of this machine, no URLs\n"
