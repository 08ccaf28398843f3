"""Names for the arrays of this package."""

from typing import Any

from numpy.typing import NDArray

Layer = NDArray[Any]  # (H, W) float32: rain, depth or a field; rain is at least 0
ImageF = NDArray[Any]  # (H, W, 1 or 3) float32 in [0, 1], RGB
Mask = NDArray[Any]  # (H, W) bool
Size = tuple[int, int]  # (H, W), px
