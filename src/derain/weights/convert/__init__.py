"""Read the checkpoints that the authors of networks publish, under their own names.

``load_authors(path)`` gives a network of ours with their weights; ``convert(path)`` its parts. The
network and its configuration are read off the tensors' names and shapes. A file of this package
describes the checkpoints of one paper; ``FORMATS`` lists them.

Our networks take RGB images in [0, 1]. Where the authors feed BGR, as OpenCV reads images,
``bgr_to_rgb`` swaps the channels of the layers that read and give images, unless ``order="rgb"``
says that a file was trained on RGB.

Files come from strangers: code in them never runs, a network is compared with the tensors before
it is allocated, and what is wrong is said in one line that names the file.
"""

from pathlib import Path
from typing import Any, NamedTuple

from derain.models import Network
from derain.weights.convert.checkpoint import (
    Format,
    Order,
    Reading,
    Tensors,
    bgr_to_rgb,
    read_tensors,
    to_state,
)
from derain.weights.convert.dcsfn import DCSFN_FORMAT, authors_dcsfn_name
from derain.weights.convert.ddn import DDN_FORMAT
from derain.weights.convert.did_mdn import DID_MDN_FORMAT
from derain.weights.convert.jorder_e import JORDER_E_FORMAT
from derain.weights.convert.nledn import NLEDN_FORMAT
from derain.weights.convert.prenet import PRENET_FORMAT
from derain.weights.convert.rcdnet import RCDNET_FORMAT, RCDNET_SIMPLE_FORMAT
from derain.weights.convert.rehen import REHEN_FORMAT
from derain.weights.convert.rescan import RESCAN_FORMAT
from derain.weights.convert.spanet import SPANET_FORMAT
from derain.weights.convert.umrl import UMRL_FORMAT

__all__ = ["FORMATS", "Converted", "authors_dcsfn_name", "convert", "load_authors", "named_network"]

FORMATS: tuple[Format, ...] = (
    DCSFN_FORMAT,
    PRENET_FORMAT,
    NLEDN_FORMAT,
    RESCAN_FORMAT,
    SPANET_FORMAT,
    RCDNET_FORMAT,
    RCDNET_SIMPLE_FORMAT,
    DDN_FORMAT,
    UMRL_FORMAT,
    JORDER_E_FORMAT,
    DID_MDN_FORMAT,
    REHEN_FORMAT,
)


class Converted(NamedTuple):
    """A checkpoint of the authors' in our terms."""

    name: str  # as in derain.models.MODELS
    config: Any  # of that network
    state: Tensors  # float32; fits the network of that configuration


def load_authors(path: Path, network: str = "auto", order: Order | None = None) -> Network[Any]:
    """A network with the weights of a checkpoint of the authors', in evaluation mode.

    Args:
        path: Their file.
        network: A name of ``FORMATS``, or "auto" to tell from the names in the file.
        order: Order of the colour channels that the file was trained on; None: as its authors did.

    Raises:
        OSError: The file cannot be read.
        ValueError: Not such a checkpoint, or a tensor is missing, unexpected or of a wrong shape;
            names the file and the tensor.
    """
    return named_network(path, network, order)[1]


def named_network(
    path: Path, network: str = "auto", order: Order | None = None
) -> tuple[str, Network[Any]]:
    """``load_authors``, and the network's name in ``derain.models.MODELS``."""
    reading, state = _read(path, network, order)
    result = type(reading.network)(reading.network.config)
    result.load_state_dict(state)
    return reading.name, result.eval()


def convert(path: Path, network: str = "auto", order: Order | None = None) -> Converted:
    """The name, configuration and renamed tensors of a checkpoint.

    Takes and raises what ``load_authors`` does.
    """
    reading, state = _read(path, network, order)
    return Converted(reading.name, reading.network.config, state)


def _read(path: Path, network: str, order: Order | None) -> tuple[Reading, Tensors]:
    known = list(dict.fromkeys(name for each in FORMATS for name in each.networks))
    if network not in ("auto", *known):
        raise ValueError(f"network must be one of auto, {', '.join(known)}: {network!r}")
    if order not in (None, "rgb", "bgr"):
        raise ValueError(f"order must be rgb, bgr or None: {order!r}")
    tensors = read_tensors(path)
    try:
        reading = _recognise(set(tensors)).read(tensors)
        if network not in ("auto", reading.name):
            raise ValueError(f"holds {reading.name}, not {network}")
        state = to_state(tensors, reading)
        if (order or reading.order) == "bgr":
            if not reading.channels:
                raise ValueError(f"{reading.name} cannot be converted from BGR to RGB")
            bgr_to_rgb(state, reading.channels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return reading, state


def _recognise(names: set[str]) -> Format:
    """The format of a checkpoint by the names of its tensors.

    Raises:
        ValueError: None of those known.
    """
    for each in FORMATS:
        if each.recognises(names):
            return each
    raise ValueError("neither " + " nor ".join(f"{f.title} ({f.sign})" for f in FORMATS))
