"""Weights: which there are, how a file says what it holds, and the ones shipped with derain."""
