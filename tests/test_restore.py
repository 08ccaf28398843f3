"""The Restorer: kinds in and out, sizes, tiles, strength, engines."""

import io
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

import derain
from derain import engines
from derain.restore import Cancelled, Restorer
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


def test_values_that_overflow_are_computed_again_in_f32():
    restorer = Restorer(Overflowing(), CHOICE, reload=Blur)
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    with pytest.warns(UserWarning, match="half precision overflowed"):
        result = restorer(image)
    assert np.array_equal(result, Restorer(Blur(), CHOICE)(image))
    with pytest.raises(ValueError, match="not finite"):
        Restorer(Overflowing(), CHOICE, reload=Overflowing)(image)


def test_a_stopped_restorer_ends_at_the_next_tile():
    class Stopping(Blur):
        calls = 0

        def __call__(self, batch):
            self.calls += 1
            restorer.stop()
            return super().__call__(batch)

    engine = Stopping()
    restorer = Restorer(engine, CHOICE)
    with pytest.raises(Cancelled):
        restorer(np.zeros((400, 400, 3), np.uint8), tile=100)
    assert engine.calls == 1


class Limited(Blur):
    """An engine whose memory ends at a number of pixels."""

    calls = 0

    def __call__(self, batch):
        self.calls += 1
        if batch[0, 0].size > 130**2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return super().__call__(batch)


def test_smaller_tiles_are_tried_when_memory_runs_out_and_kept_to():
    engine = Limited()
    restorer = Restorer(engine, CHOICE)
    image = np.random.default_rng(0).random((480, 480, 3), np.float32)
    with pytest.warns(UserWarning, match="going on in tiles of 120"):
        result = restorer(image)
    inner = (slice(1, -1), slice(1, -1))
    assert np.allclose(result[inner], Restorer(Blur(), CHOICE)(image)[inner], atol=1e-6)
    engine.calls = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restorer(image, tile=128)
    assert restorer.tile_for(4000, 4000) < 480


def test_an_engine_without_any_memory_says_so():
    class Full(Blur):
        def __call__(self, batch):
            raise MemoryError

    with pytest.warns(UserWarning, match="memory ran out"), pytest.raises(MemoryError):
        Restorer(Full(), CHOICE)(np.zeros((480, 480, 3), np.uint8))


STARVED = """
import resource, warnings
import numpy as np
import derain
restorer = derain.load(device="cpu", precision="f32", threads=1)
restorer(np.zeros((64, 64, 3), np.uint8))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, -1))
with warnings.catch_warnings(record=True) as caught:
    result = restorer(np.full((768, 768, 3), 99, np.uint8), tile="off")
print(result.shape, result.min(), result.max(), *(w.message for w in caught))
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
        (np.zeros((4, 4, 3), np.uint8), {"strength": 1.5}, "strength must be in 0..1"),
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
