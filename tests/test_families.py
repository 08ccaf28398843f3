"""Every row of the table keeps the contract; every class of network goes the whole way.

The whole way is weights, record, export, both engines, any image size. All of it derives from
``MODELS``: a new network is tested by its row.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import derain  # noqa: E402
from derain.export import to_onnx, write  # noqa: E402
from derain.models import MODELS, Entry, Network, build  # noqa: E402
from derain.models.network import check_contract  # noqa: E402
from derain.weights.files import describe, save_weights  # noqa: E402
from derain.weights.record import Record  # noqa: E402

FAMILIES = {entry.network: name for name, entry in reversed(MODELS.items())}
FAMILIES[MODELS["did-mdn"].network] = "did-mdn-known"  # the whole one always computes at 512x512
FORMS = ("ddn-matlab",)  # another form of a class above, with other operators
# torch takes ten seconds and more to export these for any size, so here they have one size.
ONE_SIZE = ("nledn", "spanet", "umrl", "did-mdn-known")
# Still smaller where the export takes long: each kind of layer is there, and one twice.
SHALLOW = {
    "nafnet": {"encoder_blocks": (1, 2), "decoder_blocks": (1, 1)},
    "dcsfn": {"convolutions": 1},
}
# Of its first weights, which lead to values near 100, f32 keeps no fourth decimal.
SHRUNK = {"drdnet": 0.5}


def smaller(config: Any) -> dict[str, Any]:
    """Changes that make a configuration small: widths of 8, two of everything else, where valid."""

    def least(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(least(name, each) for each in value)
        return min(value, 8 if "width" in name else 2) if type(value) is int else value

    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = least(field.name, getattr(config, field.name))
        try:
            changed = dataclasses.replace(config, **{field.name: value})
        except ValueError:
            continue
        if changed != config:
            config, changes[field.name] = changed, value
    return changes


@pytest.mark.parametrize("name", MODELS)
def test_every_row_keeps_the_contract(name):
    with torch.device("meta"):
        network = build(name)  # which checks it
        folded = network.fold()
        assert type(folded) is MODELS[name].network
        assert folded.config == MODELS[name].config


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAMILIES.values(), *FORMS])
def test_both_engines_agree_on_any_size(family, tmp_path):
    torch.manual_seed(0)
    options = smaller(MODELS[family].config) | SHALLOW.get(family, {})
    network = build(family, **options).eval()
    for parameter in network.parameters():
        parameter.data.mul_(SHRUNK.get(family, 1))
    record = describe(network, "tiny", family, options)
    save_weights(tmp_path / "tiny.safetensors", network.state_dict(), record)
    sizes = [(64, 96), (37, 61), (5, 90), (1, 1), (97, 131)]
    only = (32, 48) if family in ONE_SIZE else None
    assert write(tmp_path / "tiny.onnx", network, record, "f32", only).difference < 1e-4
    exported, own = (
        derain.load(tmp_path / f"tiny{suffix}", device="cpu", precision="f32")
        for suffix in (".onnx", ".safetensors")
    )
    assert (exported.engine.name, own.engine.name) == ("OpenVINO", "torch")
    for size in sizes if only is None else [only, *sizes[1:]]:
        image = np.random.default_rng(0).random((*size, 3), np.float32)
        expected = own(image)
        assert expected.shape == image.shape
        if only in (None, size):
            assert np.abs(exported(image) - expected).max() < 1e-4


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    width: int = 3


class Mute(Network[ToyConfig]):
    """A new network that does not say how it tiles."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Any) -> Any:
        return image - self.layer(image)


class Toy(Mute):
    """A new network that keeps the contract."""

    @property
    def receptive_radius(self) -> int:
        return 1


class Odd(Toy):
    """One whose size is no size."""

    @property
    def size_multiple(self) -> int:
        return 0


def test_a_new_network_is_one_class_and_one_row(monkeypatch, tmp_path):
    monkeypatch.setitem(MODELS, "toy", Entry(Toy, ToyConfig(), "nowhere"))
    network = build("toy").eval()
    record = describe(network, "toy", "toy", {})
    assert (record.parameters, record.receptive_radius, record.size_multiple) == (84, 1, 1)
    save_weights(tmp_path / "toy.safetensors", network.state_dict(), record)
    image = np.random.default_rng(0).random((37, 61, 3), np.float32)
    restorer = derain.load(tmp_path / "toy.safetensors", device="cpu", precision="f32")
    assert not np.array_equal(restorer(image), image)
    assert restorer.record == record


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Mute, "Mute.receptive_radius is missing: it says how tiles overlap"),
        (Odd, "Odd.size_multiple must be a whole number of at least 1: 0"),
    ],
)
def test_what_a_network_lacks_is_named_before_it_is_used(kind, words, monkeypatch):
    monkeypatch.setitem(MODELS, "toy", Entry(kind, ToyConfig(), "nowhere"))
    with pytest.raises(ValueError, match=words):
        build("toy")


class Sorting(Toy):
    """One whose operator no exporter knows."""

    def forward(self, image: Any) -> Any:
        return image - torch.tensor(np.sort(self.layer(image).detach().numpy()))


def test_a_network_that_cannot_be_exported_is_named(tmp_path):
    network = Sorting(ToyConfig()).eval()
    record = Record("toy", "toy")
    with pytest.raises(ValueError, match=r"^toy: torch cannot export it: .+") as caught:
        to_onnx(tmp_path / "toy.onnx", network, record)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_plain_module_is_no_network(tmp_path):
    plain: Any = torch.nn.Conv2d(3, 3, 1)
    for use in (
        lambda: check_contract(plain),
        lambda: describe(plain, "x", "x", {}),
        lambda: to_onnx(tmp_path / "x.onnx", plain, Record("x", "x")),
    ):
        with pytest.raises(ValueError, match=r"Conv2d is no derain.models.Network"):
            use()
