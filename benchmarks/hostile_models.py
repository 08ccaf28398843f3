"""Load model files that are damaged or made to do harm: each must give one line that names it.

    python -m benchmarks.hostile_models --files 10000

Every file is a small model of this project's making with a random change. A process loads one after
another and runs those that still load; where it dies or takes more than ten seconds, that file is
counted and the next process goes on behind it. The table has a row per suffix and outcome.
"""

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from derain.weights.record import KEY, Record

LIMIT = 10  # seconds for one file
MEMORY = 6 * 2**30  # bytes of addresses for one process, of which torch reserves much
ODD = (
    None, True, -1, 0, 1, 7, 10**7, 2**63, 10**400, 0.5, float("nan"), float("inf"), "", "x",
    "../x", "a\nb", "psnr" * 1000, [], [1], [[[]]], {}, {"x": 1}, "mspfn", "dcsfn", "prenet",
)  # fmt: skip
FIELDS = (
    "name", "network", "options", "size_multiple", "minimum_size", "receptive_radius", "parameters",
    "gmacs", "memory", "trained_on", "scores", "licence", "format",
)  # fmt: skip
OPTIONS = (
    "width", "blocks", "stages", "recursive", "fine_modules", "levels", "strides", "scales", "unit",
    "encoder_blocks", "decoder_blocks", "middle_blocks", "window", "extraction_blocks", "colour",
)  # fmt: skip

Change = Callable[[dict[str, Any]], None]  # of a record's fields, in place


def originals(folder: Path) -> dict[str, Path]:
    """Write one small model of every kind that commands take; suffix -> file."""
    import torch

    from derain.engines.untracked import openvino
    from derain.models import build
    from derain.training.checkpoint import save_checkpoint
    from derain.weights.files import describe, save_weights

    torch.manual_seed(0)
    options = {"stages": 1, "width": 2, "blocks": 1}
    network = build("prenet", **options)
    record = describe(network, "tiny", "prenet", options)
    files = {
        suffix: folder / f"tiny{suffix}"
        for suffix in (".safetensors", ".onnx", ".xml", ".ckpt", ".pth")
    }
    save_weights(files[".safetensors"], network.state_dict(), record)
    files[".onnx"].write_bytes(tiny_onnx(record).SerializeToString())
    openvino.save_model(openvino.Core().read_model(files[".onnx"]), files[".xml"])
    save_checkpoint(files[".ckpt"], {"network": network.state_dict(), "step": 3})
    torch.save(authors_prenet(), files[".pth"])
    return files


def authors_prenet(width: int = 2) -> dict[str, Any]:
    """A checkpoint of PReNet as its authors name the tensors, with random values."""
    import torch

    shapes = {"conv0.0": (width, 6), "res_conv1.0": (width, width), "res_conv1.2": (width, width)}
    shapes |= {f"conv_{gate}.0": (width, 2 * width) for gate in "ifgo"} | {"conv.0": (3, width)}
    state = {f"{name}.weight": torch.randn(*shape, 3, 3) for name, shape in shapes.items()}
    return state | {f"{name}.bias": torch.randn(shape[0]) for name, shape in shapes.items()}


def tiny_onnx(record: Record) -> Any:
    """A model of one convolution, 3x3, over images of any size."""
    from onnx import TensorProto, helper, numpy_helper

    image = ["n", 3, "h", "w"]
    weight = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["rainy", "weight"], ["derained"], pads=[1, 1, 1, 1])],
        "tiny",
        [helper.make_tensor_value_info("rainy", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("derained", TensorProto.FLOAT, image)],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {KEY: record.to_json()})
    return model


def with_record(path: Path, change: Change) -> bytes:
    """The bytes of a model file whose record is changed; every format stays what it is."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header["__metadata__"][KEY] = _changed(header["__metadata__"][KEY], change)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]
    if path.suffix == ".onnx":
        import onnx

        model = onnx.load_from_string(data)
        (entry,) = [entry for entry in model.metadata_props if entry.key == KEY]
        entry.value = _changed(entry.value, change)
        return model.SerializeToString()
    from xml.etree import ElementTree

    net = ElementTree.fromstring(data)
    (element,) = net.findall(f"rt_info/framework/{KEY}")
    element.set("value", _changed(element.get("value") or "{}", change))
    return ElementTree.tostring(net)


def _changed(text: str, change: Change) -> str:
    values = json.loads(text)
    change(values)
    return json.dumps(values)


def damage(path: Path, rng: random.Random) -> bytes:
    """The bytes of a file with one random change: of its record, or of anything."""
    if path.suffix not in (".ckpt", ".pth") and rng.random() < 0.4:

        def change(values: dict[str, Any]) -> None:
            if rng.random() < 0.4:
                values["options"] = dict(values["options"])
                values["options"][rng.choice(OPTIONS)] = rng.choice(ODD)
                values["network"] = rng.choice(("prenet", "mspfn", "nafnet-small", "dcsfn"))
            elif rng.random() < 0.2:
                del values[rng.choice(list(values))]
            else:
                values[rng.choice(FIELDS)] = rng.choice(ODD)

        return with_record(path, change)
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    size = min(rng.choice((1, 1, 1, 4, 40)), len(data) - at)
    match rng.randrange(6):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at : at + size] = rng.randbytes(size)
        case 3:
            data[at:at] = rng.randbytes(size)
        case 4:
            del data[at : at + size]
        case _:
            data[at : at + size] = bytes(size)
    return bytes(data)


def outcome(path: Path) -> str:
    """What comes of a model file: "runs", or the line that says why not.

    Raises:
        AssertionError: The line does not name the file (or, of a file that loads and gives no
            finite values, the model), or is more than one.
        Exception: Anything but ``ValueError``, which commands do not turn into a line.
    """
    from derain.evaluation.models import InferenceSettings, evaluation_model
    from derain.restore import load
    from derain.training.checkpoint import load_checkpoint

    names = [path.name, path.stem]
    try:
        if path.suffix == ".ckpt":
            load_checkpoint(path)
        elif path.suffix == ".pth":
            model = evaluation_model(str(path), InferenceSettings("cpu", threads=1))
            model(np.zeros((20, 24, 3), np.uint8))
        else:
            restorer = load(path, device="cpu", threads=1)
            names.append(restorer.record.name)
            restorer(np.zeros((20, 24, 3), np.uint8))
    except ValueError as error:
        line = str(error)
        assert any(name in line for name in names), line
        assert "\n" not in line, line
        return line
    return "runs"


def damaged_files(folder: Path, first: int, count: int) -> Iterator[tuple[int, Path]]:
    """Write damaged models one after another; each depends on its number alone."""
    sources = originals(folder)
    suffixes = list(sources)
    for number in range(first, first + count):
        rng = random.Random(number)
        source = sources[rng.choice(suffixes)]
        path = folder / f"damaged-{number}{source.suffix}"
        path.write_bytes(damage(source, rng))
        if source.suffix == ".xml":
            weights = source.with_suffix(".bin").read_bytes()
            path.with_suffix(".bin").write_bytes(weights[: rng.choice((0, 8, None, None, None))])
        yield number, path
        path.unlink()


def serve(first: int, count: int) -> None:
    """Load files and print a line of JSON about each, until one of them ends the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for number, path in damaged_files(Path(folder), first, count):
            print(json.dumps([number, path.suffix]), flush=True)
            signal.alarm(LIMIT)
            try:
                found = outcome(path)
                found = found if found == "runs" else "one line"
            except Exception as error:  # what must not be
                found = f"{type(error).__name__}: {str(error)[:150]}"
            signal.alarm(0)
            print(json.dumps([number, path.suffix, found]), flush=True)


def survey(count: int, first: int = 0, step: int = 500) -> Counter[tuple[str, str]]:
    """Load damaged files in processes of their own.

    Args:
        count: How many.
        first: The number of the first.
        step: Files for one process.

    Returns:
        How often which outcome came for which suffix: "runs", "one line", or what went wrong.
    """
    found: Counter[tuple[str, str]] = Counter()
    at = first
    while at < first + count:
        many = min(step, first + count - at)
        command = [sys.executable, "-m", "benchmarks.hostile_models", "--serve", str(at), str(many)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found.update((suffix, what) for _, suffix, what in (x for x in lines if len(x) == 3))
        if done.returncode == 0:
            at += many
            continue
        if not lines:
            raise RuntimeError(done.stderr)
        number, suffix = lines[-1][:2]
        slow = done.returncode == -signal.SIGALRM
        found[suffix, "took too long" if slow else f"ended its process ({done.returncode})"] += 1
        print(f"file {number}{suffix}: process ended with {done.returncode}", file=sys.stderr)
        at = number + 1
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--serve", type=int, nargs=2)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    for (suffix, what), times in sorted(survey(options.files, options.first).items()):
        print(f"{suffix:14}{times:7}  {what}")


if __name__ == "__main__":
    main()
