"""derain removes rain from photographs.

import derain

restorer = derain.load()
clean = restorer(rainy)  # a path, a Pillow image or a NumPy array
"""

__version__ = "0.1.0"
__all__ = ["Restorer", "__version__", "list_models", "load"]

TYPE_CHECKING = False  # as typing has it, whose import takes longer than all else here
if TYPE_CHECKING:
    from derain.restore import Restorer, load
    from derain.weights.catalog import list_models


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: `import derain` stays instant."""
    if name in ("Restorer", "load"):
        from derain import restore

        return getattr(restore, name)
    if name == "list_models":
        from derain.weights.catalog import list_models

        return list_models
    raise AttributeError(f"module 'derain' has no attribute {name!r}")
