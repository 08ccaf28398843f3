"""Help that names what tables hold: engines, devices, metrics, presets.

Importing a table takes numpy and more, and `derain --help` must answer at once. So an option says
``metavar="ENGINE"``, and the help of its command puts the names there when it is shown.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from typer.core import TyperCommand


def _engines() -> str:
    from derain.engines import ENGINES

    return _choices("auto", *ENGINES)


def _devices() -> str:
    from derain.engines import device_kinds

    return _choices("auto", *device_kinds(), "cuda:N")


def _precisions() -> str:
    from derain.engines import precisions

    return _choices("auto", *precisions())


def _backends() -> str:
    from derain.benchmark.backends import backend_names

    return _choices(*backend_names())


def _metrics() -> str:
    from derain.metrics import METRICS

    return _choices(*METRICS)


def _protocols() -> str:
    from derain.metrics import PROTOCOLS

    return _choices(*PROTOCOLS)


def _presets() -> str:
    from derain.rain import MIXTURES, PRESETS

    return _choices(*PRESETS, *MIXTURES)


def _default_metrics() -> str:
    from derain.metrics import default_metrics

    paired, alone = (_listed(default_metrics("metrics", truth)) for truth in (True, False))
    return f"{paired} with references, {alone} without"


def _default_metrics_of_sets() -> str:
    from derain.metrics import default_metrics

    paired, alone = (_listed(default_metrics("evaluate", truth)) for truth in (True, False))
    return f"{paired} on sets of pairs, {alone} on the others"


NO_URLS = "{} {}: this takes paths of this machine, no URLs"
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE)  # two letters, as C:/ is a drive

FACTS: dict[str, Callable[[], str]] = {
    "ENGINE": _engines,
    "DEVICE": _devices,
    "PRECISION": _precisions,
    "BACKEND": _backends,
    "METRIC": _metrics,
    "PROTOCOL": _protocols,
    "PRESET": _presets,
    "DEFAULT_METRICS": _default_metrics,
    "DEFAULT_METRICS_OF_SETS": _default_metrics_of_sets,
}


class Command(TyperCommand):
    """A command whose help puts facts where its options name them, in capitals.

    What it takes as a `Path` lies on this machine; what may be a URL too it takes as a string.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises ValueError for a URL where a path must be; names both."""
        for option in self.params:
            value = ctx.params.get(option.name)
            for path in value if isinstance(value, list | tuple) else [value]:
                if isinstance(path, Path) and (url := _URL.match(path.as_posix())):
                    name = max(option.opts, key=len) if option.opts[0][0] == "-" else option.name
                    place = f"{url[1]}://{url[2]}"  # of which a path has one slash
                    raise ValueError(NO_URLS.format(name, place))
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        for option in self.params:
            for part in ("metavar", "help"):
                if text := getattr(option, part, None):
                    setattr(option, part, re.sub(r"\b[A-Z_]+\b", _fact, text))
        super().format_help(ctx, formatter)


def _fact(word: re.Match[str]) -> str:
    return FACTS[word[0]]() if word[0] in FACTS else word[0]


def _choices(*names: str) -> str:
    return f"[{'|'.join(names)}]"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
