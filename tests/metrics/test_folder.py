import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain.io.decode import read_rgb
from derain.metrics import ParametersError, parameters, psnr, ssim
from derain.metrics.folder import compare_folders, find_pairs

AnyImage = NDArray[np.uint8]


def save(path: Path, image: AnyImage) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path, photo: AnyImage, noisy: list[AnyImage]) -> tuple[Path, Path]:
    """Three pairs, one of them in a subfolder, one of equal images."""
    for name, image in (("a", noisy[0]), ("b", photo), ("sub/a", noisy[1])):
        save(tmp_path / "rainy" / f"{name}.png", image)
        save(tmp_path / "clean" / f"{name}.bmp", photo)  # another format: paired by stem
    (tmp_path / "clean" / "readme.txt").touch()
    return tmp_path / "rainy", tmp_path / "clean"


def test_rows_means_and_equal_images(
    folders: tuple[Path, Path], photo: AnyImage, noisy: list[AnyImage]
) -> None:
    result = compare_folders(*folders, protocol="rgb")
    assert result.protocol == "rgb"
    assert [row.name for row in result.rows] == ["a", "b", "sub/a"]
    values = [psnr(noisy[0], photo, "rgb"), math.inf, psnr(noisy[1], photo, "rgb")]
    assert [row.values["psnr"] for row in result.rows] == values
    assert result.means["psnr"] == math.inf
    assert result.infinite == {"psnr": 1, "ssim": 0}
    similar = [ssim(image, photo, "rgb") for image in (noisy[0], photo, noisy[1])]
    assert result.means["ssim"] == pytest.approx(np.mean(similar))


def test_jobs_change_nothing_and_progress_counts(folders: tuple[Path, Path]) -> None:
    seen: list[tuple[int, int]] = []
    many = compare_folders(*folders, jobs=3, progress=lambda done, all_: seen.append((done, all_)))
    assert many == compare_folders(*folders)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_two_files_need_not_share_a_name(folders: tuple[Path, Path]) -> None:
    rainy, clean = folders
    result = compare_folders(rainy / "a.png", clean / "b.bmp", metrics=["ssim"])
    assert [row.name for row in result.rows] == ["a"]
    assert list(result.means) == ["ssim"]


def test_an_image_without_a_match_is_named(folders: tuple[Path, Path]) -> None:
    rainy, clean = folders
    (rainy / "sub" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"clean/sub/a.bmp: no matching image in .*rainy$"):
        find_pairs(rainy, clean)
    (clean / "sub" / "a.bmp").unlink()
    (clean / "a.bmp").unlink()
    (clean / "b.bmp").rename(clean / "c.bmp")
    with pytest.raises(
        ValueError, match=r"rainy/a.png: no matching image in .* \(1 more like it\)"
    ):
        find_pairs(rainy, clean)


def test_other_sizes_are_found_before_anything_is_measured(
    folders: tuple[Path, Path], photo: AnyImage
) -> None:
    save(folders[1] / "sub" / "a.bmp", photo[:-1])
    measured: list[int] = []
    with pytest.raises(ValueError, match=r"sub/a.png is 200x195, .*sub/a.bmp is 200x194"):
        compare_folders(*folders, progress=lambda done, _: measured.append(done))
    assert measured == []


def test_what_is_wrong_with_a_set_is_named(folders: tuple[Path, Path], photo: AnyImage) -> None:
    rainy, clean = folders
    with pytest.raises(ValueError, match="none: no such file or folder"):
        find_pairs(rainy / "none", clean)
    with pytest.raises(ValueError, match="one is a file, the other a folder"):
        find_pairs(rainy / "a.png", clean)
    (rainy / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images in it"):
        find_pairs(rainy / "empty", clean)
    save(rainy / "a.jpg", photo)
    with pytest.raises(ValueError, match=r"a.jpg and .*a.png have the same name"):
        find_pairs(rainy, clean)


def test_files_that_are_no_images_are_named(tmp_path: Path, photo: AnyImage) -> None:
    text = tmp_path / "text.png"
    text.write_text("no image")
    with pytest.raises(ValueError, match=r"text.png: not an image"):
        read_rgb(text)
    with pytest.raises(ValueError, match=r"text.png: not an image"):
        find_pairs(tmp_path)
    cut = save(tmp_path / "cut.png", photo)
    cut.write_bytes(cut.read_bytes()[:20_000])
    with pytest.raises(ValueError, match=r"cut.png: damaged image"):
        read_rgb(cut)


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path, photo: AnyImage) -> None:
    noise = np.random.default_rng(0).integers(-128, 129, photo.shape)
    deep = np.clip(photo.astype(int) * 257 + noise, 0, 65535).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
        assert np.array_equal(read_rgb(tmp_path / name), photo)


def test_images_are_read_as_rgb(tmp_path: Path, photo: AnyImage) -> None:
    assert np.array_equal(
        read_rgb(save(tmp_path / "colour.png", photo[:160, :160])), photo[:160, :160]
    )
    grey = read_rgb(save(tmp_path / "grey.png", photo[..., 0]))
    assert np.array_equal(grey, np.dstack([photo[..., 0]] * 3))


def test_a_image_that_cannot_be_measured_is_named(tmp_path: Path, photo: AnyImage) -> None:
    small = save(tmp_path / "small.png", photo[:9, :9])
    with pytest.raises(ValueError, match=r"small.png: SSIM needs at least 11x11"):
        compare_folders(small, small)


def test_metrics_without_reference_need_none(folders: tuple[Path, Path], iqa: Path) -> None:
    alone = compare_folders(folders[0], None, ["niqe", "sseq"], parameters=iqa)
    beside = compare_folders(*folders, ["niqe", "sseq"], parameters=iqa)
    assert alone == beside
    with pytest.raises(ValueError, match="psnr: needs references"):
        compare_folders(folders[0], None, ["psnr", "niqe"], parameters=iqa)


def test_without_parameter_files_the_other_metrics_go_on(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(parameters.ENVIRONMENT_VARIABLE, raising=False)
    result = compare_folders(*folders, ["psnr", "niqe"])
    assert list(result.means) == ["psnr"]
    assert "fetch_parameters" in result.skipped["niqe"]
    with pytest.raises(ParametersError, match="niqe needs"):
        compare_folders(*folders, ["niqe"])


def test_unknown_names_list_the_known(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="unknown metric 'lpips'; known: psnr"):
        compare_folders(*folders, ["lpips"])
    with pytest.raises(ValueError, match="unknown protocol 'x'; known: y"):
        compare_folders(*folders, protocol="x")
    with pytest.raises(ValueError, match="no metric given; known: psnr"):
        compare_folders(*folders, [])
