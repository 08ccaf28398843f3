"""The Restorer: kinds in and out, sizes, tiles, strength, engines."""

import io
import subprocess
import sys
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

import derain
from derain import engines
from derain.restore import RestoreOptions, Restorer
from derain.weights.record import Record


class Blur:
    """A local network without weights: what tiling must not change."""

    record = Record("blur", "blur", size_multiple=16, minimum_size=32)
    name, device, precision = "test", "CPU", "f32"

    def __call__(self, batch):
        assert batch.dtype == np.float32
        assert all(length % 16 == 0 and length >= 32 for length in batch.shape[2:])
        return np.stack([[cv2.blur(c, (3, 3)) for c in image] for image in batch])


class Overflowing(Blur):
    """What half precision does now and then."""

    precision = "bf16"

    def __call__(self, batch):
        return np.full_like(batch, np.nan)


CHOICE = engines.Choice("openvino", "cpu", "test")


@pytest.fixture(scope="module")
def blur():
    return Restorer(Blur(), CHOICE)


@pytest.fixture(scope="module")
def restorer():
    return derain.load(device="cpu", precision="f32")


@pytest.fixture(scope="module")
def rainy():
    data = pytest.importorskip("skimage.data")
    from derain.rain import RainSynthesizer

    clean = np.ascontiguousarray(data.coffee()[:200, :300])
    return clean, RainSynthesizer("rain100h", seed=1)(clean).rainy


def psnr(a, b):
    return -10 * np.log10(((a.astype(float) - b) ** 2).mean() / 255**2)


def test_the_shipped_network_removes_rain_and_leaves_clean_images_alone(restorer, rainy):
    clean, rain = rainy
    assert psnr(restorer(rain), clean) > psnr(rain, clean) + 5
    assert psnr(restorer(clean), clean) > 34


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 5), (17, 31), (40, 129)])
def test_any_size_keeps_its_size(restorer, size):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    result = restorer(image)
    assert result.shape == image.shape
    assert result.dtype == image.dtype
    assert np.isfinite(result).all()


@pytest.mark.parametrize(
    "array",
    [
        np.full((40, 50), 120, np.uint8),
        np.full((40, 50, 3), 40_000, np.uint16),
        np.full((40, 50, 4), 0.25, np.float32),
        np.full((40, 50, 3), 0.75, np.float64),
    ],
)
def test_an_array_comes_back_as_the_same_kind(blur, array):
    result = blur(array)
    assert result.shape == array.shape
    assert result.dtype == array.dtype
    assert np.allclose(result, array, atol=1e-6 if array.dtype.kind == "f" else 0)


def test_the_input_array_is_left_alone_and_alpha_is_copied(blur):
    array = np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8)
    before = array.copy()
    result = blur(array)
    assert np.array_equal(array, before)
    assert np.array_equal(result[..., 3], before[..., 3])
    assert not np.array_equal(result[..., :3], before[..., :3])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_comes_back_in_its_mode(blur, mode):
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    image = Image.fromarray(grey) if mode == "I;16" else Image.new(mode, (64, 64))
    image.info["icc_profile"] = b"kept"
    result = blur(image)
    assert (result.mode, result.size) == (image.mode, image.size)
    if mode != "I;16":
        assert result.info["icc_profile"] == b"kept"


def test_a_path_is_restored_beside_it(blur, tmp_path):
    source = tmp_path / "photo.png"
    Image.new("RGB", (40, 40), (9, 99, 200)).save(source)
    target = blur(source)
    assert target == tmp_path / "photo_derained.png"
    assert Image.open(target).getpixel((20, 20)) == (9, 99, 200)


@pytest.mark.parametrize("tile", [64, 100, "auto"])
def test_tiles_do_not_show_in_a_local_network(blur, tile):
    image = np.random.default_rng(0).integers(0, 256, (1500, 1000, 3), np.uint8)
    whole = blur(image, tile="off")
    tiled = blur(image, tile=tile).astype(int)
    inner = (slice(1, -1), slice(1, -1))  # padding at the image's own border may differ
    assert np.abs(tiled - whole)[inner].max() <= 1
    assert blur.tile_for(1500, 1000) < 1000


def test_strength_blends_with_the_input(blur):
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    full, half = blur(image), blur(image, strength=0.5)
    assert np.allclose(half, (image + full) / 2, atol=1e-6)
    assert np.array_equal(blur(image, strength=0.0), image)


def test_values_that_overflow_are_computed_again_in_f32(caplog):
    restorer = Restorer(Overflowing(), CHOICE, reload=Blur)
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    result = restorer(image)
    assert "half precision overflowed" in caplog.text
    assert np.array_equal(result, Restorer(Blur(), CHOICE)(image))
    with pytest.raises(ValueError, match="not finite"):
        Restorer(Overflowing(), CHOICE, reload=Overflowing)(image)


def test_what_on_tile_raises_ends_the_call_and_that_call_alone(blur):
    image = np.zeros((400, 400, 3), np.uint8)
    fractions = []

    def stop_after_three(fraction):
        fractions.append(fraction)
        if len(fractions) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        blur.restore_pixels(image, RestoreOptions(tile=100, on_tile=stop_after_three))
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0 < fractions[2] < 1
    assert np.array_equal(blur(image, tile=100), image)


class Limited(Blur):
    """An engine whose memory ends at a number of pixels."""

    calls = 0

    def __call__(self, batch):
        self.calls += 1
        if batch[0, 0].size > 130**2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return super().__call__(batch)


def test_smaller_tiles_are_tried_when_memory_runs_out_for_that_image_alone(caplog):
    restorer = Restorer(Limited(), CHOICE)
    before = restorer.tile_for(4000, 4000)
    image = np.random.default_rng(0).random((480, 480, 3), np.float32)
    result = restorer(image)
    assert "going on in tiles of 120" in caplog.text
    inner = (slice(1, -1), slice(1, -1))
    assert np.allclose(result[inner], Restorer(Blur(), CHOICE)(image)[inner], atol=1e-6)
    caplog.clear()
    restorer(image, tile=128)
    assert not caplog.text
    assert restorer.tile_for(4000, 4000) >= before - 64


def test_an_engine_without_any_memory_says_so():
    class Full(Blur):
        def __call__(self, batch):
            raise MemoryError

    with pytest.raises(MemoryError):
        Restorer(Full(), CHOICE)(np.zeros((480, 480, 3), np.uint8))


STARVED = """
import logging, resource, sys
import numpy as np
import derain
restorer = derain.load(device="cpu", precision="f32", threads=1)
restorer(np.zeros((64, 64, 3), np.uint8))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, -1))
logging.basicConfig(stream=sys.stdout)
result = restorer(np.full((768, 768, 3), 99, np.uint8), tile="off")
print(result.shape, result.min(), result.max())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_openvino_starved_of_memory_goes_on_in_smaller_tiles():
    """OpenVINO reports nothing then: it returns what an earlier call left."""
    done = subprocess.run(
        [sys.executable, "-c", STARVED], capture_output=True, text=True, check=False
    )
    assert "(768, 768, 3)" in done.stdout, done.stderr
    assert "memory ran out; going on in tiles of" in done.stdout


def test_tiles_follow_the_budget(blur):
    tile_sizes = []
    for budget in (10**8, 10**9, 2 * 10**9, 10**10, None):
        blur.budget = budget
        tile_sizes.append(blur.tile_for(4000, 6000))
        assert blur.tile_for(300, 200) in (300, tile_sizes[-1])
    assert tile_sizes == sorted(tile_sizes[:-1]) + tile_sizes[-1:]
    assert tile_sizes[0] == 256
    assert tile_sizes[1] ** 2 * 6000 + 4000 * 6000 * 10 + 2 * 10**8 <= 10**9
    assert tile_sizes[3] == 1024
    blur.budget = 10**9
    blur.record = replace(Blur.record, memory={"f32": 1000})
    assert tile_sizes[1] < blur.tile_for(4000, 6000) <= (560_000_000 / 1000) ** 0.5
    blur.record = Blur.record


def test_two_threads_may_share_a_restorer(restorer, rainy):
    _, rain = rainy
    alone = restorer(rain)
    results = {}
    threads = [
        threading.Thread(target=lambda k=k: results.update({k: restorer(rain[:, :: 1 - 2 * k])}))
        for k in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(results[0], alone)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.zeros((4, 4, 2)), {}, r"\(H, W\), \(H, W, 3\) or \(H, W, 4\)"),
        (np.zeros((4, 4, 3), np.int64), {}, "uint8, uint16 or float"),
        (np.full((4, 4, 3), 255.0), {}, r"in \[0, 1\]"),
        (np.full((4, 4, 3), np.nan), {}, r"in \[0, 1\]"),
        (np.zeros((0, 4, 3), np.uint8), {}, "empty"),
        (np.zeros((4, 4, 3), np.uint8), {"strength": 2.0}, "strength must be in 0..1.5"),
        (np.zeros((4, 4, 3), np.uint8), {"tile": 12}, "at least 64"),
        (np.zeros((4, 4, 3), np.uint8), {"tile": "big"}, "auto, off"),
    ],
)
def test_wrong_calls_say_what_is_right(blur, image, options, words):
    with pytest.raises(ValueError, match=words):
        blur(image, **options)


def test_openvino_and_torch_give_the_same_image(restorer, rainy):
    pytest.importorskip("torch")
    _, rain = rainy
    torch_restorer = derain.load(device="cpu", engine="torch", precision="f32")
    a, b = restorer(rain).astype(int), torch_restorer(rain)
    assert np.abs(a - b).max() <= 1


def test_bf16_agrees_with_f32(restorer, rainy):
    _, rain = rainy
    fast = derain.load(device="cpu")
    if fast.engine.precision == "f32":
        pytest.skip("this CPU has no bf16")
    assert psnr(fast(rain), restorer(rain)) > 45


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"memory": "much"}, "such as 2GB"),
        ({"name_or_path": "mspfm-lite"}, r"known name \(.*mspfn-lite"),
        ({"name_or_path": "nowhere.onnx"}, "neither a model file nor a known name"),
        ({"device": "cuda"}, "no cuda: torch"),
        ({"device": "tpu"}, "known: auto, cpu, cuda"),
        ({"engine": "tvm"}, "known: auto, openvino, torch"),
        ({"precision": "int3"}, "known: auto, f32, bf16"),
        ({"device": "cuda", "engine": "openvino"}, "runs on the CPU"),
    ],
)
def test_wrong_loads_say_what_is_right(arguments, words):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() and arguments == {"device": "cuda"}:
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ValueError, match=words):
        derain.load(**arguments)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_file_that_is_no_model_is_named(tmp_path, suffix):
    pytest.importorskip("torch")
    path = tmp_path / f"broken{suffix}"
    for content in (b"", b"\x00" * 7, bytes(range(256)) * 10):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"broken{suffix}: not "):
            derain.load(path)


def test_every_listed_model_loads():
    for name in derain.list_models():
        assert derain.load(name, device="cpu").record.name == name


def test_a_jpeg_through_memory_equals_the_array_path(restorer):
    """Reading a file and handing over its pixels are the same path."""
    from derain.io.decode import decode_image

    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    decoded = decode_image(buffer.getvalue(), "x")
    assert np.array_equal(restorer.restore(decoded).pixels, restorer(pixels))


@pytest.mark.parametrize("scales", ["2", "2,1", "4,2", "4,2,1"])
@pytest.mark.parametrize("size", [(203, 310), (128, 64), (5, 3)])
def test_scales_give_the_same_in_tiles_and_in_one_piece(blur, scales, size):
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    whole = blur(image, scales=scales)
    tiled = blur(image, scales=scales, tile=64)
    assert whole.shape == image.shape
    assert np.allclose(whole, tiled, atol=1e-5)


def test_at_half_size_only_the_estimate_is_enlarged():
    class Darker(Blur):
        """Takes a constant away, whatever the detail."""

        def __call__(self, batch):
            return batch - np.float32(0.25)

    image = 0.3 + 0.6 * np.random.default_rng(0).random((100, 90, 3), np.float32)
    result = Restorer(Darker(), CHOICE)(image, scales="2")
    assert np.allclose(result, image - 0.25, atol=1e-5)
    twice = Restorer(Darker(), CHOICE)(image, scales="2,1")
    assert np.allclose(twice, np.clip(image - 0.5, 0, 1), atol=1e-5)


def test_an_image_larger_than_the_record_says_is_searched_at_half_size(blur):
    class Knows(Blur):
        record = replace(Blur.record, full_scale_size=2000)

    restorer = Restorer(Knows(), CHOICE)
    assert [restorer.scales_for(1000, n) for n in (2000, 2001, 4000, 4001, 9000)] == [
        (1,), (2,), (2,), (4,), (8,)
    ]  # fmt: skip
    assert blur.scales_for(9000, 9000) == (1,)
    assert restorer.scales_for(9000, 9000, "2,1") == (2, 1)


@pytest.mark.parametrize("scales", ["", "3", "1,2", "2,2", "half", "32", "2,,1"])
def test_wrong_scales_are_refused(blur, scales):
    with pytest.raises(ValueError, match="scales must be auto"):
        blur(np.zeros((8, 8, 3), np.uint8), scales=scales)


def test_more_than_full_strength_takes_more_away(blur):
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    full, more = blur(image), blur(image, strength=1.5)
    assert np.allclose(more, np.clip(image + 1.5 * (full - image), 0, 1), atol=1e-5)
    with pytest.raises(ValueError, match=r"0\.\.1\.5"):
        blur(image, strength=1.6)


def test_a_result_beside_a_path_is_not_replaced_unasked(blur, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)
    target = blur(path)
    target.write_bytes(b"kept")
    with pytest.raises(FileExistsError, match=r"a_derained\.png"):
        blur(path)
    assert target.read_bytes() == b"kept"
    assert blur(path, overwrite=True) == target
    assert target.read_bytes() != b"kept"


def test_a_long_thin_image_is_tiled_by_its_padded_size():
    class Tall(Blur):
        record = replace(Blur.record, minimum_size=8, size_multiple=8)

    restorer = Restorer(Tall(), CHOICE)
    assert restorer.tile_for(1, 1_000_000) <= 1024


def test_a_budget_that_cannot_be_kept_is_named_with_what_is_needed(blur, caplog):
    blur.budget = 300_000_000
    blur.tile_for(6000, 10_000)
    blur.budget = None
    assert "needs about 1.2 GB, more than the 0.3 GB allowed" in caplog.text
