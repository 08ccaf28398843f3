from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from derain.models.cost import cost
from derain.models.ddn import DDN, DDNConfig, box_mean, fast_guided_filter, guided_filter
from derain.weights.convert import convert, load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURES = SHARED / "fixtures/baselines"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the authors' outputs are not at {FIXTURES}"
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes) -> DDN:
    return DDN(DDNConfig(**{"width": 4, "blocks": 2, **changes})).eval()


@pytest.mark.parametrize("form", ["image", "running", "matlab"])
def test_has_the_specifications_parameters_and_cost(form):
    with torch.device("meta"):
        network = DDN(DDNConfig(form=form))
        large, small = (cost(network, *size) for size in ((384, 512), (256, 256)))
    assert large.parameters == 57_369
    assert (round(large.gmacs, 1), round(small.gmacs, 1)) == (11.0, 3.7)
    running = sum(b.numel() for n, b in network.named_buffers() if "running" in n)
    assert running == (0 if form == "image" else 58_175 - 57_369)


@needs_fixtures
def test_gives_what_the_published_graph_gives(tmp_path):
    stored = np.load(FIXTURES / "ddn.npz")
    image, detail, output = (torch.from_numpy(stored[k]) for k in ("input", "detail", "output"))
    state: dict[str, Tensor] = {}
    for i in range(26):
        for part, kind, theirs in (
            ("conv", "weight", "weights"), ("conv", "bias", "biases"),
            ("norm", "weight", "scale"), ("norm", "bias", "beta"),
        ):  # fmt: skip
            value = torch.from_numpy(stored[f"w/conv_{i + 1}/{theirs}_{i + 1}"])
            state[f"{part}.{i}.{kind}"] = value.permute(3, 2, 0, 1) if value.dim() == 4 else value
    torch.save(state, tmp_path / "net.pth")
    assert convert(tmp_path / "net.pth")[:2] == ("ddn", DDNConfig(width=8))
    network = load_authors(tmp_path / "net.pth")
    with torch.no_grad():
        torch.testing.assert_close(image - guided_filter(image), detail, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(image), output, atol=1e-5, rtol=0)


@needs_fixtures
def test_the_matlab_form_gives_what_the_specification_recorded():
    stored = np.load(FIXTURES / "ddn_matlab.npz")
    image, detail, output = (torch.from_numpy(stored[k]) for k in ("input", "detail", "output"))
    path = SHARED / "data/peers/ddn/matlab.pt"
    if not path.is_file():
        pytest.skip(f"the authors' weights are not at {path}")
    assert convert(path)[:2] == ("ddn-matlab", DDNConfig(form="matlab"))
    network = load_authors(path)
    with torch.no_grad():
        torch.testing.assert_close(image - fast_guided_filter(image), detail, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(image), output, atol=1e-4, rtol=0)


@pytest.mark.skipif(
    not (SHARED / "data/peers/ddn").is_dir(), reason=f"the weights are not at {SHARED}/data/peers"
)
@pytest.mark.parametrize("name", ["ddn/rainheavy", "ddn/rainlight", "semi/authors"])
def test_published_files_are_read_and_may_be_read_as_bgr(name):
    path = SHARED / f"data/peers/{name}.pt"
    assert convert(path)[:2] == ("ddn", DDNConfig())
    image = torch.rand(1, 3, 20, 24)
    rgb, bgr = (load_authors(path, order=order) for order in ("rgb", "bgr"))
    with torch.no_grad():
        torch.testing.assert_close(bgr(image.flip(1)).flip(1), rgb(image), atol=1e-5, rtol=0)
        assert (bgr(image) - rgb(image)).abs().max() > 1e-3


def test_a_box_is_cut_at_the_border():
    x = torch.rand(1, 1, 9, 12)
    means = box_mean(x, 3)
    torch.testing.assert_close(means[0, 0, 0, 0], x[..., :4, :4].mean())
    torch.testing.assert_close(means[0, 0, 4, 11], x[..., 1:8, 8:].mean())
    torch.testing.assert_close(box_mean(x, 20), x.mean().expand_as(x))


@pytest.mark.parametrize("smooth", [guided_filter, fast_guided_filter])
def test_a_flat_image_has_no_detail_and_an_edge_has(smooth):
    flat = torch.full((1, 3, 40, 44), 0.7)
    torch.testing.assert_close(smooth(flat), flat)
    edge = flat.clone()
    edge[..., 20:] = 0.1
    assert (edge - smooth(edge)).abs().max() > 0.2


def test_the_network_sees_the_detail_alone():
    network = tiny()
    seen: list[Tensor] = []
    network.first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    image = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        network(image)
    assert torch.equal(seen[0], image - guided_filter(image))


def test_each_image_is_normalised_by_itself_outside_training():
    network = tiny()
    images = torch.stack([torch.rand(3, 16, 16), torch.rand(3, 16, 16) / 4])
    with torch.no_grad():
        both = network(images)
        torch.testing.assert_close(both[1:], network(images[1:]))
        single = network(images[:1])
        network.train()
        torch.testing.assert_close(network(images[:1]), single, atol=1e-5, rtol=0)
        assert (network(images) - both).abs().max() > 1e-3


def test_outside_training_other_forms_see_no_other_pixel_far_away():
    for form, independent in (("running", True), ("image", False)):
        network = tiny(form=form)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                nn.init.constant_(module.running_var, 0.5)  # type: ignore[arg-type]
        detail = torch.rand(1, 3, 8, 40)
        changed = detail.clone()
        changed[..., 30:] += 1
        with torch.no_grad():
            same = network.negative_rain(detail)[..., :10], network.negative_rain(changed)[..., :10]
        assert torch.equal(*same) is independent
