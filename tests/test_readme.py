"""The README's claims that can be checked without a fresh machine."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_and_image_is_there():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


COMMANDS = re.findall(r"^derain [^#\n]+|(?<=`)derain [^`\n]+(?=`)", README, re.MULTILINE)


@pytest.mark.parametrize("line", sorted({c.strip() for c in COMMANDS}))
def test_every_command_and_option_exists(line, derain):
    words = shlex.split(line)[1:]
    command = words[:2] if words[0] == "data" else words[:1]
    options = [word.split("=")[0] for word in words if word.startswith("-") and word != "-"]
    code, out, _ = derain(*command, "--help")
    assert code == 0
    for option in options:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", out), option


def test_the_number_of_networks_is_right():
    pytest.importorskip("torch")
    from derain.models import MODELS

    assert f"lists {len(MODELS)}," in README
