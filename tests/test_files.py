"""A file or folder appears whole or not at all, whatever ends the writing."""

import os

import pytest
from twolayer.errors import UserError
from twolayer.files import appearing, aside, write


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with appearing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.name.startswith(".tmp-")
    assert path.read_text() == "new"
    write(path, "näher")
    assert path.read_bytes() == "näher".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears(tmp_path):
    with appearing(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "one").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "one"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ValueError, UserError])
def test_what_fails_leaves_the_file_as_it_was(tmp_path, kind):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half():
        with appearing(path) as temporary:
            temporary.mkdir()
            (temporary / "half").touch()
            raise kind

    with pytest.raises(kind):
        write_half()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_is_said_in_a_line(tmp_path):

    def fill():
        with appearing(tmp_path / "file", "--out x") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("all of it")

    with pytest.raises(UserError, match=r"^--out x: can't be written: No space left on device$"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["no/such/file", "file/x"])
def test_where_nothing_can_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"{place}: can't be written: "):
        write(tmp_path / place, "text")


def test_what_was_renamed_stays(tmp_path):
    with aside(tmp_path) as temporary:
        temporary.write_text("text")
        temporary.rename(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
