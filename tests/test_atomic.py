"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from seq2seq.atomic import replaced_when_whole
from seq2seq.commands.files import read_lines


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_file_keeps_its_old_content_until_the_new_is_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in ("old", "new"):
        with replaced_when_whole(path) as file:
            file.write(content.encode() + b"\n")
            file.flush()
            assert not path.exists() or read_lines(str(path)) == ["old"]
    assert read_lines(str(path)) == ["new"]
    with pytest.raises(KeyboardInterrupt), replaced_when_whole(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert read_lines(str(path)) == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "target")
    with replaced_when_whole(tmp_path / "link") as file:
        file.write(b"x\n")
    assert (tmp_path / "link").is_symlink()
    assert read_lines(str(tmp_path / "folder" / "target")) == ["x"]
    with replaced_when_whole("/dev/null") as file:
        file.write(b"x\n")
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=rf"^cannot write out.txt: there is no folder {tmp_path}/none$"),
        replaced_when_whole(tmp_path / "none" / "out.txt"),
    ):
        pass
