"""Tar shards from strangers: what is wrong is refused by itself and named."""

import io
import tarfile

import pytest

from derain.scale import tar


def entry(name, data=b"content", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def write(path, *entries):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for info, data in entries:
            made.addfile(info, io.BytesIO(data))
    return path


def test_members_come_in_order_with_their_content(tmp_path):
    path = write(tmp_path / "a.tar", entry("b.png", b"1"), entry("a/c.json", b"{}", mtime=7))
    found = list(tar.members(path))
    assert [(m.name, m.mtime, tar.content(path, m)) for m in found] == [
        ("b.png", 0, b"1"), ("a/c.json", 7, b"{}"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (entry("/etc/passwd"), "leads out"),
        (entry("../../x.png"), "leads out"),
        (entry("a/../../x.png"), "leads out"),
        (entry("x.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (entry("x.png", b"", type=tarfile.LNKTYPE, linkname="good.png"), "is a link"),
        (entry("x.png", b"", type=tarfile.CHRTYPE), "device"),
        (entry("x.png", b"", type=tarfile.FIFOTYPE), "device"),
        (entry("good.png"), "twice"),
    ],
)
def test_a_hostile_member_is_named_and_the_others_are_read(tmp_path, hostile, words):
    path = write(tmp_path / "a.tar", entry("good.png"), hostile, entry("also.png"))
    good, bad, also = tar.members(path)
    assert (good.problem, also.problem, also.name) == ("", "", "also.png")
    assert words in bad.problem


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "rest",
    [
        header("huge.png", 1 << 40),
        header("negative.png", -1024),
        header("names", 1 << 40, tarfile.XHDTYPE),
        header("long", 1 << 33, tarfile.GNUTYPE_LONGNAME),
        header("long", 8, tarfile.GNUTYPE_LONGNAME) * 5000,
        header("cut.png", 1000) + b"only this",
        b"no header at all".ljust(512, b"x"),
    ],
)
def test_what_comes_before_damage_is_read_and_the_damage_named(tmp_path, rest):
    path = tmp_path / "a.tar"
    path.write_bytes(header("good.png", 7) + b"content".ljust(512, b"\0") + rest)
    names, problems = [], []
    try:
        for member in tar.members(path):
            names.append(member.name)
            problems += [member.problem] if member.problem else []
    except tar.Damaged as error:
        problems.append(str(error))
    assert names[0] == "good.png"
    assert problems


def test_what_is_no_tar_is_said(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"x" * 2000)
    with pytest.raises(tar.Damaged):
        list(tar.members(path))


def test_the_same_files_give_the_same_bytes():
    made = []
    for _ in range(2):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as into:
            tar.add(into, "a.png", b"1", 5)
        made.append(data.getvalue())
    assert made[0] == made[1]
