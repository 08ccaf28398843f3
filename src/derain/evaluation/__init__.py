"""Evaluation: networks measured on public sets, beside the figures that papers publish."""
