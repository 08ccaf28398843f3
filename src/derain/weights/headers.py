"""The records of model files, read before anything else of them is trusted.

A `.safetensors` file begins with its header. An `.onnx` file is a protobuf message, of which only
the envelope is read here: its metadata, its inputs, and whether all tensors lie inside the file.
An `.xml` file is OpenVINO's, whose tensors lie in the `.bin` file beside it by design.

Nothing here needs torch or a runtime, so a stranger's file is refused before one sees it.
"""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from derain.weights.record import KEY, Record, parse_record

LARGEST_HEADER = 100_000_000  # bytes of a `.safetensors` header, the format's own limit
LARGEST_GRAPH = 2**31  # bytes of an `.onnx` file, protobuf's own limit

Value = int | memoryview | None  # of a protobuf field: a number, bytes, or what is not read

# Where messages of an ONNX file hold others (onnx.proto): message -> field -> message.
PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "property", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "property": {},
    "tensor": {},
}  # fmt: skip
NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14  # fields of a tensor
INPUT, OUTPUT = 11, 12  # fields of a graph


def read_safetensors_record(path: Path) -> Record:
    """The record of a `.safetensors` file, read from its header alone.

    Raises:
        ValueError: No safetensors file, or one that derain did not write; names it.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LARGEST_HEADER, path.stat().st_size - 8):
                raise ValueError
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except (struct.error, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{path}: not a safetensors file") from None
    return _record_of(metadata, path)


def read_onnx_record(path: Path) -> Record:
    """The record of an `.onnx` file, which is checked to hold all of its data itself.

    Raises:
        ValueError: No ONNX file; one that derain did not write; one that reads other files; one
            whose inputs and outputs are not one each. Names the file and what is wrong.
    """
    if path.stat().st_size > LARGEST_GRAPH:
        raise ValueError(f"{path}: not an ONNX file (larger than 2 GiB)")
    metadata: dict[str, str] = {}
    ends = {INPUT: 0, OUTPUT: 0}
    try:
        for kind, message in _messages(memoryview(path.read_bytes())):
            if kind == "property":
                key, value = (str(_bytes(message, field), "utf-8") for field in (1, 2))
                metadata[key] = value
            elif kind == "tensor" and _lies_outside(message):
                name = str(_bytes(message, NAME), "utf-8", "replace")[:60]
                raise _Refused(f"the data of tensor {name!r} lies in another file")
            elif kind == "main graph":
                for number, _ in _fields(message):
                    if number in ends:
                        ends[number] += 1
    except _Refused as refused:
        raise ValueError(f"{path}: {refused}; a model file holds all of its data") from None
    except (ValueError, IndexError):
        raise ValueError(f"{path}: not an ONNX file, or a damaged one") from None
    return _with_one_image(_record_of(metadata, path), ends[INPUT], ends[OUTPUT], path)


def read_xml_record(path: Path) -> Record:
    """The record of an OpenVINO `.xml` file.

    Raises:
        ValueError: No such file, one that derain did not write, or one whose inputs and outputs are
            not one each. Names it.
    """
    data = path.read_bytes()
    try:
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # which could make a few bytes gigabytes
            raise ValueError
        net = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise ValueError(f"{path}: not a model of OpenVINO's, or a damaged one") from None
    layers = [layer.get("type") for layer in net.iterfind("layers/layer")]
    record = _record_of({KEY: _value_at(net, f"rt_info/framework/{KEY}")}, path)
    return _with_one_image(record, layers.count("Parameter"), layers.count("Result"), path)


def read_record(path: Path) -> Record:
    """The record of a model file; which reader is asked follows from its suffix.

    Raises:
        ValueError: As the reader, or the suffix is none of ``READERS``.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path}: a model file with a record ends in {', '.join(READERS)}")
    return READERS[path.suffix](path)


READERS: dict[str, Callable[[Path], Record]] = {
    ".safetensors": read_safetensors_record,
    ".onnx": read_onnx_record,
    ".xml": read_xml_record,
}


class _Refused(Exception):
    """An ONNX file that asks for something it may not."""


def _record_of(metadata: object, path: Path) -> Record:
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{path}: not written by derain (it has no derain record)")
    return parse_record(text, path)


def _with_one_image(record: Record, inputs: int, outputs: int, path: Path) -> Record:
    if (inputs, outputs) != (1, 1):
        raise ValueError(f"{path}: has {inputs} inputs and {outputs} outputs, must have one each")
    return record


def _value_at(net: ElementTree.Element, place: str) -> str | None:
    found = net.find(place)
    return None if found is None else found.get("value")


def _messages(model: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Every message of ``PARTS`` in an ONNX model, and its main graph under that name."""
    waiting = [("model", model)]  # a list, not a recursion: graphs may lie in graphs
    while waiting:
        kind, message = waiting.pop()
        yield kind, message
        parts = PARTS[kind]
        for number, value in _fields(message) if parts else ():
            if number in parts and isinstance(value, memoryview):
                waiting.append((parts[number], value))
                if kind == "model" and parts[number] == "graph":
                    yield "main graph", value


def _lies_outside(tensor: memoryview) -> bool:
    return any(
        number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)
        for number, value in _fields(tensor)
    )


def _bytes(message: memoryview, field: int) -> memoryview:
    """The last value of a field, as protobuf takes it; empty without any."""
    values = [value for number, value in _fields(message) if number == field]
    last = values[-1] if values else memoryview(b"")
    if not isinstance(last, memoryview):
        raise ValueError("a number where bytes should be")
    return last


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a protobuf message, in order.

    Raises:
        ValueError: It is none.
        IndexError: It is cut off.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        value: Value = None
        if wire == 0:
            value, at = _varint(message, at)
        elif wire == 1:
            at += 8
        elif wire == 2:
            length, at = _varint(message, at)
            value = message[at : at + length]
            at += length
        elif wire == 5:
            at += 4
        else:
            raise ValueError("no protobuf message")
        if at > end:
            raise ValueError("cut off")
        yield number, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of one to ten bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("no number")
