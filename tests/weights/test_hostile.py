"""A model file from a stranger runs, or gives one line that names the file and what is wrong."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from benchmarks import hostile_models as hostile  # noqa: E402

import derain as library  # noqa: E402
from derain.models import build  # noqa: E402
from derain.weights.files import load_network, save_weights  # noqa: E402
from derain.weights.headers import read_onnx_record, read_record  # noqa: E402
from derain.weights.record import Record  # noqa: E402

SUFFIXES = (".safetensors", ".onnx", ".xml")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return hostile.originals(tmp_path_factory.mktemp("originals"))


def changed(source: Path, target: Path, **fields: Any) -> Path:
    """A copy of a model with other fields in its record."""
    target.write_bytes(hostile.with_record(source, lambda values: values.update(fields)))
    if source.suffix == ".xml":
        target.with_suffix(".bin").write_bytes(source.with_suffix(".bin").read_bytes())
    return target


def test_the_originals_run(originals):
    assert [hostile.outcome(path) for path in originals.values()] == ["runs"] * len(originals)


@given(seed=st.integers(0, 2**64))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_gives_one_line_that_names_it(seed, originals, tmp_path):
    rng = random.Random(seed)
    source = rng.choice(list(originals.values()))
    path = tmp_path / f"damaged{source.suffix}"
    path.write_bytes(hostile.damage(source, rng))
    path.with_suffix(".bin").write_bytes(originals[".xml"].with_suffix(".bin").read_bytes())
    hostile.outcome(path)  # asserts it


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size_multiple", 0, "size_multiple must be a whole number 1..1024: 0"),
        ("size_multiple", True, "size_multiple must be a whole number 1..1024: True"),
        ("minimum_size", "16", "minimum_size must be a whole number 1..1024: '16'"),
        ("receptive_radius", -1, "receptive_radius must be null or a whole number 0..65536: -1"),
        ("name", "../../stolen", "name must be a name, no path: '../../stolen'"),
        ("memory", {"f32": 0}, "memory must be a table of names, each with a whole number 1"),
        ("gmacs", float("nan"), "gmacs must be a number from 0 up: nan"),
        ("scores", [1], "scores must be a table of names"),
        ("options", {"width": [[1]]}, "options must be a table of names"),
        ("colour", "red", "unknown field 'colour'"),
        ("format", 2, "written by a newer derain"),
    ],
)
def test_a_wrong_field_is_named_in_every_format(suffix, field, value, words, originals, tmp_path):
    path = changed(originals[suffix], tmp_path / f"x{suffix}", **{field: value})
    with pytest.raises(ValueError, match=r"x\.\w+: ") as caught:
        read_record(path)
    assert words in str(caught.value)


COMMANDS = {
    "restore": ("restore", "rainy.png", "--model", "MODEL"),
    "export": ("export", "MODEL", "-o", "out.onnx"),
    "benchmark": ("benchmark", "MODEL", "--device", "cpu", "--runs", 1),
    "evaluate": ("evaluate", "--data", ".", "--set", "set", "--model", "MODEL"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_in_one_line(
    command, suffix, originals, tmp_path, derain, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = changed(originals[suffix], tmp_path / f"bad{suffix}", size_multiple=0)
    image = Image.fromarray(np.zeros((20, 24, 3), np.uint8))
    for place in ("rainy.png", "set/rainy/1.png", "set/clean/1.png"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        image.save(place)
    arguments = [path if word == "MODEL" else word for word in COMMANDS[command]]
    code, out, err = derain(*arguments)
    assert (code, out) == (1, "")
    assert f"bad{suffix}: its derain record is damaged: size_multiple" in err
    assert err.count("error: ") == 1


@pytest.mark.parametrize(
    ("network", "options", "words"),
    [
        ("prenet", {"width": 10**4}, "width must be at most 4096: 10000"),
        (
            "prenet",
            {"stages": 1, "width": 4096, "blocks": 1},
            "first.weight has the shape (2, 6, 3, 3), it must be (4096, 6, 3, 3)",
        ),
        ("prenet", {"blocks": 4096}, "it has more than 10 tensors with these options"),
        ("mspfn", {"levels": 9}, "levels must be at most 8: 9"),
        ("dcsfn", {"blocks": 4096, "convolutions": 4096}, "it has more than 10 tensors"),
        ("prenet", {"width": None}, "width must be at least 1: None"),
        ("mh2fnet", {"residual": "no"}, "residual must be of type bool: 'no'"),
        ("prenet", {"colour": 1}, "prenet has no argument 'colour'"),
        ("alexnet", {}, "unknown network 'alexnet'"),
    ],
)
def test_a_network_that_cannot_be_in_the_file_is_never_built(
    network, options, words, originals, tmp_path
):
    path = changed(
        originals[".safetensors"], tmp_path / "x.safetensors", network=network, options=options
    )
    with pytest.raises(ValueError, match=rf"x.safetensors: does not fit {network}: ") as caught:
        load_network(path)
    assert words in str(caught.value)


def test_tensors_that_are_no_weights_are_named(tmp_path):
    options = {"stages": 1, "width": 2, "blocks": 1}
    state = build("prenet", **options).state_dict()
    record = Record("x", "prenet", options)
    for value, words in (
        (torch.zeros(2, dtype=torch.int64), "tensor first.bias holds torch.int64, no weights"),
        (torch.tensor([0, float("nan")]), "tensor first.bias holds values that are not finite"),
        (torch.zeros(3), "first.bias has the shape (3,), it must be (2,)"),
        (None, "missing tensor first.bias"),
    ):
        tensors = {**state, "first.bias": value}
        path = tmp_path / "x.safetensors"
        save_weights(path, {k: v for k, v in tensors.items() if v is not None}, record)
        with pytest.raises(ValueError, match=r"x.safetensors: ") as caught:
            load_network(path)
        assert words in str(caught.value)


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1])
def test_a_cut_off_safetensors_file_is_named(left, originals, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(originals[".safetensors"].read_bytes()[:left])
    with pytest.raises(ValueError, match=r"x.safetensors: (not a safetensors file|damaged: )"):
        load_network(path)


def external(tensor: Any) -> Any:
    """The tensor, its data in the file secret.bin."""
    outside = onnx.TensorProto()
    outside.CopyFrom(tensor)
    outside.ClearField("raw_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="secret.bin")
    return outside


def hide(model: Any, place: str) -> None:
    """Put a tensor with external data somewhere into an ONNX model."""
    tensor = external(model.graph.initializer[0])
    inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
    match place:
        case "initializer":
            model.graph.initializer[0].CopyFrom(tensor)
        case "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        case "constant":
            model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))
        case "list":
            model.graph.node[0].attribute.add(name="t").tensors.append(tensor)
        case "subgraph":
            model.graph.node.append(onnx.helper.make_node("If", ["x"], [], then_branch=inner))
        case "function":
            node = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
            model.functions.add(name="f").node.append(node)
        case "training":
            model.training_info.add().initialization.CopyFrom(inner)


@pytest.mark.parametrize(
    "place", ["initializer", "sparse", "constant", "list", "subgraph", "function", "training"]
)
def test_an_onnx_file_reads_no_other_file(place, originals, tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(324))
    model = onnx.load(originals[".onnx"])
    hide(model, place)
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    for engine in ("openvino", "onnxruntime"):
        with pytest.raises(ValueError, match=r"x.onnx: the data of tensor 'weight' lies in anoth"):
            library.load(path, device="cpu", engine=engine)


def test_an_onnx_file_has_one_image_in_and_one_out(originals, tmp_path):
    model = onnx.load(originals[".onnx"])
    path = tmp_path / "x.onnx"
    del model.graph.input[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"x.onnx: has 0 inputs and 1 outputs, must have one each"):
        read_onnx_record(path)
    model = onnx.load(originals[".onnx"])
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"x.onnx: "):
        library.load(path, device="cpu")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_image_that_the_file_holds_itself_is_no_input(engine, originals, tmp_path):
    model = onnx.load(originals[".onnx"])
    held = onnx.numpy_helper.from_array(np.zeros((1, 3, 9, 9), np.float32), "rainy")
    model.graph.initializer.append(held)
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"x.onnx: has 0 inputs and 1 outputs, must have one each"):
        library.load(path, device="cpu", engine=engine)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_graph_that_returns_another_size_is_no_network(engine, originals, tmp_path):
    model = onnx.load(originals[".onnx"])
    del model.graph.node[0].attribute[:]  # the padding
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    restorer = library.load(path, device="cpu", engine=engine)
    words = r"^tiny: .* returned \(1, 3, 18, 22\) for \(1, 3, 20, 24\): no network"
    with pytest.raises(ValueError, match=words):
        restorer(np.zeros((20, 24, 3), np.uint8))


def test_names_of_tensors_are_one_line(tmp_path):
    from derain.weights.convert import load_authors

    path = tmp_path / "x.pth"
    torch.save({"conv_i.0\nbias": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"x.pth: holds no state dict: 'conv_i.0\\nbias'"):
        load_authors(path)
    path = tmp_path / "x.safetensors"
    options = {"stages": 1, "width": 2, "blocks": 1}
    save_weights(path, {"first\nbias": torch.zeros(2)}, Record("x", "prenet", options))
    with pytest.raises(ValueError, match=r"x.safetensors: 'first\\nbias' is no name of a tensor"):
        load_network(path)


def test_an_xml_file_defines_no_entities(originals, tmp_path):
    text = originals[".xml"].read_text()
    path = tmp_path / "x.xml"
    path.write_text(text.replace("<net ", '<!DOCTYPE net [<!ENTITY a "b">]>\n<net ', 1))
    with pytest.raises(ValueError, match=r"x.xml: not a model of OpenVINO's"):
        read_record(path)


def test_a_record_that_no_one_could_read_is_not_made():
    with pytest.raises(ValueError, match=r"size_multiple must be a whole number 1..1024: 0"):
        Record("x", "prenet", size_multiple=0)
    assert json.loads(Record("x", "prenet").to_json())["receptive_radius"] is None
