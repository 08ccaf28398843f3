import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

from derain.data.public import SETS
from derain.evaluation.published import (
    MARKS,
    PublishedRow,
    figures,
    find_tables,
    of_network,
    parameters,
    printed_tables,
    rows,
)
from derain.metrics import PROTOCOLS


def test_every_figure_of_the_papers_tables_is_there(shared: Path) -> None:
    known = Counter(figure.value for figure in figures())
    papers = sorted((shared / "specs").glob("*_published.md"))
    assert len(papers) == 3
    for paper in papers:
        printed: Counter[float] = Counter()
        for line in paper.read_text().splitlines():
            for cell in line.strip("|").split("|")[1:] if line.startswith("|") else ():
                parts = [part.strip(" *").replace(",", "") for part in cell.split("/")]
                printed.update(float(p) for p in parts if re.fullmatch(r"\d*\.?\d+", p))
        assert printed.total() > 50
        missing = {value: n - known[value] for value, n in printed.items() if known[value] < n}
        assert missing == {}, paper.name


def one(method: str, name: str, metric: str, paper: str) -> str:
    found = [
        figure.printed
        for figure in figures()
        if (figure.method, figure.set, figure.metric) == (method, name, metric)
        and figure.paper.startswith(paper)
        and figure.main
    ]
    assert len(found) == 1
    return found[0]


def test_figures_stand_where_the_papers_have_them() -> None:
    assert one("MSPFN", "rain100h", "psnr", "MSPFN") == "28.66"
    assert one("MSPFN", "test1200", "fsim", "MSPFN") == "0.960"
    assert one("SEMI", "test2800", "ssim", "MSPFN") == "0.782"
    assert one("UMRL", "ris", "sseq", "MSPFN") == "43.45"
    assert one("DCSFN", "rain200h", "ssim", "DCSFN") == "0.90"  # its "Rain100H"
    assert one("RCDNet", "spa-data", "psnr", "MH2F-Net") == "41.47"
    assert one("MSPFN*", "bdd350", "seconds", "MSPFN") == "0.23"
    assert one("PReNet_r", "rain12", "ssim", "PReNet") == "0.962"


def test_protocols_and_sets_are_ours() -> None:
    assert {f.protocol.rstrip("?") for f in figures()} - {""} <= PROTOCOLS.keys()
    compared = {f.set for f in figures() if f.metric in ("psnr", "ssim") and f.main}
    assert compared - {"average of five"} <= SETS.keys()
    without_truth = {f.set for f in figures() if f.metric in ("niqe", "sseq")}
    assert without_truth - {"real images of dcsfn"} <= SETS.keys()  # RID in capitals was another


def row(method: str, paper: str, name: str, title: str) -> PublishedRow:
    found = [r for r in rows(name, title) if r.first.method == method]
    return next(r for r in found if r.first.paper.startswith(paper))


def test_what_differs_is_marked() -> None:
    mspfn = row("MSPFN", "MSPFN", "rain100h", "Rain100H")
    assert mspfn.differences("rain100h", "y") == ("", "")
    assert mspfn.differences("rain100h", "rgb") == ("≠", "protocol y")
    prenet = row("PReNet", "PReNet", "rain100h", "Rain100H")
    assert prenet.differences("rain100h", "y") == ("≈", "protocol y_float")
    dcsfn = row("DCSFN", "DCSFN", "rain100h", "Rain100H")
    mark, why = dcsfn.differences("rain100h", "dcsfn")
    assert (mark, why) == ("≠", "another set: its Rain100H is our rain200h")
    assert dcsfn.differences("rain200h", "dcsfn") == ("", "")
    mh2f = row("MH2F-Net", "MH2F", "rain200h", "Rain200H")
    assert mh2f.differences("rain200h", "y") == ("?", "protocol y likely, not proven")
    assert MARKS.keys() == {"≠", "≈", "?"}


def test_niqe_has_no_protocol_to_differ_in() -> None:
    real = next(r for r in rows("real200") if r.first.method == "MSPFN")
    assert real.differences("real200", "rgb") == ("", "")


def test_ablations_are_left_out_unless_asked_for() -> None:
    methods = {r.first.method for r in rows("test100", "Test100")}
    assert "MSPFN" in methods
    assert "Model3" not in methods
    every = {r.first.method for r in rows("test100", "Test100", every=True)}
    assert {"Model3", "M30N1"} <= every


@pytest.mark.parametrize(
    ("network", "name", "method", "table"),
    [
        ("mspfn", "test100", "MSPFN", "Table 4"),  # not M17N1 of Table 3, which is the same
        ("mspfn-lite", "test100", "MSPFN* (M5N1)", "Table 3"),
        ("prenet", "rain100h", "PReNet", "authors' README"),  # not what others trained
        ("prenet", "test100", "PreNet", "Table 4"),  # nothing else there
        ("dcsfn", "rain200l", "DCSFN", "Table 1"),
        ("mh2fnet-n6", "rain200h", "N=6", "Table 3"),
        ("input", "rain200h", "Input", "Table 2"),
    ],
)
def test_a_network_finds_its_own_row(network: str, name: str, method: str, table: str) -> None:
    found = of_network(network, name)
    assert found is not None
    assert (found.first.method, found.first.table) == (method, table)


def test_networks_without_figures_find_none() -> None:
    assert of_network("nafnet", "test100") is None
    assert of_network("", "test100") is None
    assert parameters("mspfn") == 13.35
    assert parameters("nafnet") is None


def test_a_table_is_found_by_its_paper_and_name():
    (table,) = find_tables("mspfn (cvpr", "Table 4")
    assert table.cells[0][:2] == ("", "Test100")
    assert table.cells[-1][:2] == ("MSPFN", "27.50 / 0.876 / 0.928")
    assert table.metrics == ("psnr", "ssim", "fsim")
    assert len({(t.paper, t.name) for t in find_tables("dcsfn (acm")}) == 4
    with pytest.raises(ValueError, match=r"no paper 'resnet'; there are: PReNet"):
        find_tables("resnet")
    with pytest.raises(ValueError, match=r"DCSFN .* has no table 'table 9'; there are: Table 1"):
        find_tables("DCSFN", "table 9")


def test_every_printed_number_is_in_a_printed_table():
    for figure in figures():
        tables = find_tables(figure.paper, figure.table)
        cells = [cell for table in tables for row in table.cells for cell in row]
        assert any(figure.printed in map(str.strip, cell.split("/")) for cell in cells)


# CRC-32 of each table as it was compared with its paper, cell by cell; a cell that is changed or
# exchanged with its neighbour changes it. Compare with the paper again before changing one here.
CHECKED = (
    ("PReNet (CVPR 2019)", "authors' README", 2818225136),
    ("MSPFN (CVPR 2020)", "Table 4", 2990521210),
    ("MSPFN (CVPR 2020)", "Table 5", 4037877063),
    ("DCSFN (ACM MM 2020)", "Table 1", 425809475),
    ("DCSFN (ACM MM 2020)", "Table 2", 3629915728),
    ("MH2F-Net (CVPRW 2021)", "Table 2", 1355198009),
    ("derain-toolbox", "re-training of DCSFN", 2536044628),
    ("NeRD-Rain (CVPR 2024)", "quoting a re-training of MSPFN per set", 3145878836),
    ("MSPFN (CVPR 2020)", "Table 2", 2556405506),
    ("MSPFN (CVPR 2020)", "Table 3", 1993394896),
    ("MSPFN (CVPR 2020)", "Table 6, deraining", 2268213898),
    ("MSPFN (CVPR 2020)", "Table 6, detection by YOLOv3", 4211530933),
    ("MSPFN (CVPR 2020)", "Table 6, BDD150", 4127589176),
    ("DCSFN (ACM MM 2020)", "Table 3", 3781492212),
    ("DCSFN (ACM MM 2020)", "Tables 4 to 6", 3848201498),
    ("derain-toolbox", "cost at 256x256", 1807066051),
    ("MH2F-Net (CVPRW 2021)", "Table 3", 1694346369),
    ("a public leaderboard", "quoting MSPFN", 3966802184),
    ("kuijiang94/MSPFN", "issue 21", 4009175318),
    ("kuijiang94/MSPFN", "issue 7", 2425113931),
    ("MSPFN (CVPR 2020)", "Table 1", 2070855066),
    ("MSPFN (CVPR 2020)", "Table 1", 3434974623),
    ("MH2F-Net (CVPRW 2021)", "Table 1", 152593169),
)


def test_no_cell_has_changed_since_it_was_compared_with_its_paper():
    found = [
        (table.paper, table.name, zlib.crc32("\n".join(map("|".join, table.cells)).encode()))
        for table in printed_tables()
    ]
    assert tuple(found) == CHECKED
