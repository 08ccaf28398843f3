"""Checkpoints of every paper are told apart, and refused in one line if they are broken."""

from pathlib import Path

import pytest
import torch

from derain.models import MODELS
from derain.weights.convert import FORMATS, convert
from derain.weights.files import load_network

PEERS = Path(__file__).resolve().parents[2].parent / "shared/data/peers"
FILES = {
    "nledn/rain100h.pt": "nledn",
    "rescan/rescan_gru_full_rain200l.pth": "rescan",
    "spanet/spanet_spa.pth": "spanet",
    "umrl/umrl_jorder.pth": "umrl",
    "jorder_e/jorder_e_practical.pth": "jorder-e-practical",
    "ddn/rainheavy.pt": "ddn",
    "ddn/matlab.pt": "ddn-matlab",
    "semi/authors.pt": "ddn",
    "prenet/Rain100H.pth": "prenet",
}
needs_peers = pytest.mark.skipif(not PEERS.is_dir(), reason=f"no checkpoints at {PEERS}")


def test_every_format_leads_to_networks_of_the_table():
    assert {name for each in FORMATS for name in each.networks} <= set(MODELS)


@needs_peers
@pytest.mark.parametrize("file", FILES)
def test_one_format_alone_takes_a_published_file(file):
    names = set(torch.load(PEERS / file, map_location="cpu", weights_only=True))
    names = {name.removeprefix("module.") for name in names}
    taken = [each for each in FORMATS if each.recognises(names)]
    assert len(taken) == 1
    assert FILES[file] in taken[0].networks


@needs_peers
@pytest.mark.parametrize("file", FILES)
def test_its_record_says_what_it_is(file):
    network, record = load_network(PEERS / file)
    assert (record.network, record.name) == (FILES[file], Path(file).stem)
    assert record.options == {}  # the table has it as it was published
    assert record.parameters == sum(p.numel() for p in network.parameters())
    assert record.size_multiple == network.size_multiple
    assert record.gmacs > 0
    assert not network.training


@needs_peers
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("broken", ["missing", "unexpected", "shape"])
def test_a_damaged_file_is_named_with_its_tensor(file, broken, tmp_path):
    state = torch.load(PEERS / file, map_location="cpu", weights_only=True)
    last = max(name for name, value in state.items() if value.dim() == 4)
    if broken == "missing":
        del state[last]
    elif broken == "unexpected":
        state["rain.weight"] = torch.zeros(2)
    else:
        state[last] = state[last][..., :0]
    torch.save(state, tmp_path / "net.pth")
    tensor = "rain.weight" if broken == "unexpected" else last.removeprefix("module.")
    with pytest.raises(ValueError, match=r"net\.pth: ") as caught:
        convert(tmp_path / "net.pth")
    assert tensor in str(caught.value)
    assert "\n" not in str(caught.value)


def authors_ddn() -> dict[str, torch.Tensor]:
    """A small DDN with stored statistics, under its authors' names."""
    state = {}
    for i, (inputs, norm) in enumerate([(3, 4), (4, 4), (4, 4), (4, 3)]):
        outputs = 3 if i == 3 else 4
        state[f"conv.{i}.weight"] = torch.zeros(outputs, inputs, 3, 3)
        state[f"conv.{i}.bias"] = torch.zeros(outputs)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"norm.{i}.{kind}"] = torch.zeros(norm)
    return state


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("conv.1.bias", torch.full((4,), torch.nan), "'conv.1.bias' holds values that are not fin"),
        ("conv.1.bias", torch.zeros(4).to_sparse(), "'conv.1.bias' is stored in a form"),
        ("conv.1.bias", torch.zeros(4, dtype=torch.complex64), "'conv.1.bias' is stored in a form"),
        ("conv.1.bias", torch.zeros(1).expand(10**13), "'conv.1.bias' repeats few values"),
        ("conv.0.weight", torch.zeros(5000, 3, 3, 3), "width must be at most 4096: 5000"),
        ("norm.1.num_batches_tracked", torch.zeros(9), "num_batches_tracked is not one number"),
    ],
)
def test_hostile_tensors_are_refused_in_one_line(name, tensor, words, tmp_path):
    path = tmp_path / "net.pth"
    torch.save(authors_ddn(), path)
    assert convert(path).name == "ddn-matlab"
    torch.save(authors_ddn() | {name: tensor}, path)
    with pytest.raises(ValueError, match=words) as caught:
        convert(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
