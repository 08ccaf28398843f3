"""What networks cost: the published run time, parameters and GFLOPs beside ours.

    python -m benchmarks.cost [--only NAME ...] [--size 384 512] [--repeats 3] [--threads 1]

One row for each network of ``derain models --all`` whose cost a paper prints, or those of --only.
Parameters and GMACs are counted, seconds measured: the folded network with fresh weights, torch in
f32 on this CPU, after a first run that does not count the median of three, of fewer where they
take longer than ten seconds together. The papers' seconds are from their own machines and images,
which stand behind them. All rows together take about a quarter of an hour on one CPU core.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import torch

from derain.evaluation import published
from derain.evaluation.typeset import align, count, number
from derain.models import MODELS, build
from derain.models.cost import cost

PRINTED = ("parameters", "gflops", "seconds")
ENOUGH = 10.0  # seconds of timed runs after which a network is not run again


def printed(network: str, metric: str) -> str:
    """What the papers print of a network: each value once, with the images it was measured on."""
    found = [f for f in published.figures() if (f.network, f.metric) == (network, metric)]
    if metric != "parameters":
        return ", ".join(dict.fromkeys(f"{f.printed} ({f.set_printed})" for f in found))
    return ", ".join(dict.fromkeys(f.printed for f in found))


def with_published_cost() -> list[str]:
    """The networks of which some paper prints a cost, in the order of the table."""
    known = {f.network for f in published.figures() if f.metric in PRINTED}
    return [name for name in MODELS if name in known]


def seconds(name: str, height: int, width: int, repeats: int) -> float:
    """The median time of the folded network for an image, in torch at f32."""
    network = build(name).fold().eval()
    image = torch.rand(1, 3, height, width)
    times: list[float] = []
    with torch.inference_mode():
        network(image)
        while not times or (len(times) < repeats and sum(times) < ENOUGH):
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name: str, height: int, width: int, repeats: int) -> list[str]:
    """A network's line of the table."""
    with torch.device("meta"):
        network = build(name)
    counted = cost(network, height, width)
    millions, flops, theirs = (printed(name, metric) for metric in PRINTED)
    return [
        name, millions and f"{millions} M", count(counted.parameters),
        flops, number(counted.gmacs, 1),
        theirs, number(seconds(name, height, width, repeats), 3),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MODELS, metavar="NAME", default=None)
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    height, width = options.size
    header = ["network", "parameters, published", "ours", "GFLOPs, published"]
    header += [f"GMACs, ours at {width}x{height}", "seconds, published", "ours"]
    names = options.only or with_published_cost()
    rows = [row(name, height, width, options.repeats) for name in names]
    empty = [i for i in range(len(header)) if not any(cells[i] for cells in rows)]
    shown = [[cell for i, cell in enumerate(cells) if i not in empty] for cells in [header, *rows]]
    print("\n".join(align(shown)))


if __name__ == "__main__":
    main()
