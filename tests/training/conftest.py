"""A network and images so small that a run takes seconds."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "clean"
    folder.mkdir(parents=True)
    for i in range(10):
        coarse = np.random.default_rng(i).integers(0, 256, (9, 12, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(coarse, (96, 80)))
    return tmp_path / "data"


RECIPE = """
name = "tiny"
network = "mspfn-lite"
options = { fine_modules = 1, width = 8, lstm_widths = [8, 8, 8] }
steps = 8
precision = "f32"
[data]
sources = [{ path = "clean", layout = "clean", rain = { rain100h = 1.0 } }]
patch = 32
batch = 4
validation = 3
[optimiser]
lr = 2e-3
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def recipe(recipe_file):
    from derain.training.recipe import read_recipe

    return read_recipe(recipe_file)
