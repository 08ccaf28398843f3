"""Averages over windows: what an image holds far away changes nothing, so tiles do not show."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain import engines  # noqa: E402
from derain.models import build  # noqa: E402
from derain.models.blocks import attend  # noqa: E402
from derain.restore import Restorer  # noqa: E402
from derain.tile_budget import overlap_for  # noqa: E402
from derain.weights.files import describe, load_network  # noqa: E402
from derain.weights.record import Record  # noqa: E402

WINDOW = 64
FAMILIES = {
    "mspfn": {"fine_modules": 2, "width": 8, "lstm_widths": (8, 8, 8)},
    "mspfn-lite": {"fine_modules": 2, "width": 8, "lstm_widths": (8, 8, 8)},
    "mh2fnet": {"extraction_blocks": 2, "width": 8},
    "nafnet-small": {"width": 8},
}


def windowed(name, **options):
    """A network with windows whose every part changes its output, and its record."""
    torch.manual_seed(0)
    options = {**options, "window": WINDOW}
    network = build(name, **options).eval()
    for key, parameter in network.named_parameters():
        if key.endswith(("beta", "gamma")):  # NAFNet starts as the identity
            torch.nn.init.constant_(parameter, 0.5)
        if key.endswith("channel.weigh.0.weight"):  # MH2F-Net's gates hardly move at first
            torch.nn.init.normal_(parameter, std=10)
        if key.endswith("channel.weigh.0.bias"):  # so that their ReLUs let something through
            torch.nn.init.constant_(parameter, 3)
    return network, describe(network, "test", name, options)


def restorer(network, record):
    from derain.engines.torch import TorchEngine

    choice = engines.Choice("torch", "cpu", "test")
    return Restorer(TorchEngine(network, record, "cpu", "f32"), choice)


def tiles_against_whole(network, record, size):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    image[:, : size[1] // 3] *= 0.2  # so that means differ from place to place
    call = restorer(network, record)
    whole, tiled = call(image, tile="off"), call(image, tile=448)
    return np.abs(whole - tiled).max()


@pytest.mark.parametrize("family", FAMILIES)
def test_tiles_give_what_the_whole_image_gives(family):
    size = (150, 803)  # in tiles of 448 and no multiple of anything
    network, record = windowed(family, **FAMILIES[family])
    assert tiles_against_whole(network, record, size) < 1e-3
    for part in network.modules():
        if hasattr(part, "window"):
            part.window = None  # type: ignore[assignment]
    assert tiles_against_whole(network, record, size) > 1e-5  # the test would notice


def test_tiles_of_a_network_without_attention_give_what_the_whole_image_gives():
    torch.manual_seed(0)
    network = build("prenet", width=8, blocks=2).eval()
    record = describe(network, "test", "prenet", {"width": 8, "blocks": 2})
    assert overlap_for(record, 448) == (2 * 21 - 16 + 16, 21 - 8)  # a radius of 6 (3 + 2 2) / 2
    assert tiles_against_whole(network, record, (150, 803)) < 1e-4


def test_tiles_of_large_windows_overlap_as_those_of_whole_images():
    """To leave out all that they read would double the work of a large photograph."""
    overlaps = [
        overlap_for(
            describe(
                build("nafnet-small", window=window), "test", "nafnet-small", {"window": window}
            ),
            1024,
        )
        for window in (None, 256)
    ]
    assert overlaps[0] == overlaps[1] == (64, 16)


def test_a_record_that_says_nothing_of_tiles_means_the_whole_image():
    """As in the files of 0.1.0, whose tiles must stay where they are."""
    for size, overlap in ((1024, (64, 16)), (128, (64, 16)), (64, (32, 8))):
        assert overlap_for(Record("old", "dcsfn-small"), size) == overlap


def test_tiles_of_the_shipped_weights_give_what_the_whole_image_gives():
    trained, _ = load_network(engines.find_model("mspfn-lite", "torch"))
    network = build("mspfn-lite", window=WINDOW).eval()
    network.load_state_dict(trained.state_dict())
    record = describe(network, "test", "mspfn-lite", {"window": WINDOW})
    assert tiles_against_whole(network, record, (150, 803)) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_training_averages_over_the_whole_crop(family):
    network, _ = windowed(family, **FAMILIES[family])
    plain = build(family, **FAMILIES[family])
    plain.load_state_dict(network.state_dict())
    crop = torch.rand(2, 3, 96, 128)
    with torch.no_grad():
        assert torch.equal(network.train()(crop), plain.train()(crop))
        assert not torch.allclose(network.eval()(crop), plain.eval()(crop), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(4, 4), (17, 30), (40, 129)])
def test_images_may_be_smaller_than_a_window(family, size):
    network, _ = windowed(family, **FAMILIES[family])
    with torch.inference_mode():
        result = network(torch.rand(1, 3, *size))
    assert result.shape == (1, 3, *size)
    assert result.isfinite().all()


@pytest.mark.parametrize(("step", "size"), [(1, 160), (4, 40), (16, 10), (32, 8)])
def test_a_window_averages_what_it_covers_and_nothing_else(step, size):
    x = torch.rand(1, 2, size, size)
    means = attend(x, lambda m: m, 96, step) / x
    middle = size // 2
    reach = 96 // 2 // step + 16 // step + 1
    far = x.clone()
    far[..., middle + reach :] = 0
    assert torch.equal(
        (attend(far, lambda m: m, 96, step) / x)[..., middle, middle], means[..., middle, middle]
    )
    constant = torch.full_like(x, 0.3)
    assert torch.allclose(attend(constant, lambda m: m, 96, step), constant * 0.3)


@pytest.mark.parametrize("window", [0, 31, True, 64.0])
def test_a_wrong_window_says_what_is_right(window):
    with pytest.raises(ValueError, match="window must be at least 32, or None"):
        build("mspfn-lite", window=window)


@pytest.mark.slow
def test_a_window_goes_through_a_file_and_export(tmp_path: Path):
    pytest.importorskip("onnxscript")
    import derain
    from derain.export import to_onnx
    from derain.weights.files import save_weights

    network, record = windowed("mh2fnet", **FAMILIES["mh2fnet"])
    save_weights(tmp_path / "a.safetensors", network.state_dict(), record)
    loaded, record = load_network(tmp_path / "a.safetensors")
    assert record.options["window"] == WINDOW
    to_onnx(tmp_path / "a.onnx", loaded, record)
    image = np.random.default_rng(0).random((70, 200, 3), np.float32)
    results = [
        derain.load(tmp_path / name, device="cpu", precision="f32")(image)
        for name in ("a.onnx", "a.safetensors")
    ]
    assert np.abs(results[0] - results[1]).max() < 1e-5
