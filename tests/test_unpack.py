"""Archives as anybody may have made them, and the sentences in them: alignment is never lost silently."""

import gzip
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

DATA_SCRIPTS = Path(__file__).resolve().parents[1] / "data_scripts"
sys.path.insert(0, str(DATA_SCRIPTS))

from download import Downloads, Source  # noqa: E402
from parallel_text import NO_COLUMN, NOT_UTF8, Side, reader  # noqa: E402
from unpack import lines, unpack  # noqa: E402

MEMBERS = {"folder/a.de": b"Hallo\n", "folder/b.en": b"Hello\n", "c": b"other\n"}


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_of(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    mode = {".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if isinstance(content, bytes) else 0
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["a.zip", "a.tgz", "a.tar", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("before", ["", "./"])
def test_members_are_found_in_any_order_under_names_of_our_own(tmp_path, name, before):
    archive = (zip_of if name == "a.zip" else tar_of)(tmp_path / name, {before + key: MEMBERS[key] for key in MEMBERS})
    unpack(archive, {"folder/b.en": tmp_path / "1", "folder/a.de": tmp_path / "2"})
    assert (tmp_path / "1").read_bytes() == b"Hello\n" and (tmp_path / "2").read_bytes() == b"Hallo\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", name]


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_lead_out_of_the_folder_lead_nowhere(tmp_path, make):
    inner = tmp_path / "in" / "ner"
    inner.mkdir(parents=True)
    evil = {"../evil": b"x", "/tmp/seq2seq-evil": b"x", "folder/../../evil": b"x", "folder/a.de": b"Hallo\n"}
    archive = make(inner / ("a.zip" if make is zip_of else "a.tgz"), evil)
    unpack(archive, {"folder/a.de": inner / "1"})
    assert not Path("/tmp/seq2seq-evil").exists()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["1", archive.name]


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "folder/b.en"), (tarfile.CHRTYPE, ""), (tarfile.DIRTYPE, "")],
)
def test_a_member_that_is_no_plain_file_is_refused(tmp_path, kind, target):
    members = {"folder/b.en": b"Hello\n", "folder/a.de": special("folder/a.de", kind, target)}
    archive = tar_of(tmp_path / "a.tgz", members)
    with pytest.raises(ValueError, match=r"folder/a\.de in .*a\.tgz is a folder, a link or a device, not a plain file"):
        unpack(archive, {"folder/a.de": tmp_path / "1"})
    assert not (tmp_path / "1").exists()


def test_a_link_in_a_zip_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("a.de")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.de in .*a\.zip is a folder, a link or encrypted"):
        unpack(tmp_path / "a.zip", {"a.de": tmp_path / "1"})


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, name):
    monkeypatch.setattr("unpack._FREE_BYTES", 2**20)
    archive = (zip_of if name == "a.zip" else tar_of)(tmp_path / name, {"a.de": bytes(2**24)})
    with pytest.raises(ValueError, match=r"unpacks to more than 1,\d+,\d+ bytes, 100 times its own: refused"):
        unpack(archive, {"a.de": tmp_path / "1"})
    assert (tmp_path / "1").stat().st_size < 2**21


def test_a_gzip_bomb_and_a_line_without_end_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(2**21)))
    with pytest.raises(ValueError, match="has a line of more than 1,048,576 bytes"):
        list(lines(path))
    monkeypatch.setattr("unpack._FREE_BYTES", 2**16)
    path.write_bytes(gzip.compress(b"\n" * 2**21))
    with pytest.raises(ValueError, match="100 times its own: refused"):
        list(lines(path))


@pytest.mark.parametrize("name", ["a.zip", "a.tgz", "a.tar"])
def test_a_broken_archive_and_a_missing_member_are_said_in_one_line(tmp_path, name):
    archive = (zip_of if name == "a.zip" else tar_of)(tmp_path / name, MEMBERS | {"big": bytes(range(256)) * 999})
    with pytest.raises(ValueError, match=r"holds no x and no y; its layout is another than expected"):
        unpack(archive, {"x": tmp_path / "1", "y": tmp_path / "2"})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"is broken \(.*\); delete it"):
        unpack(archive, {"big": tmp_path / "1"})


def test_lines_end_at_newlines_only(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x85c\rd\x0ce\n\nlast".encode())
    assert list(lines(path)) == ["a\u2028b\x85c\rd\x0ce\n".encode(), b"\n", b"last"]


def pairs(folder: Path, src: bytes, tgt: bytes, **how: object) -> list[object]:
    """What is read of two files of these contents."""
    for name, content in (("src", src), ("tgt", tgt)):
        (folder / name).write_bytes(content)
    sides = [Side((Source(name, "http://nowhere"),), **how) for name in ("src", "tgt")]
    return list(reader(Downloads(folder, offline=True), [(sides[0], sides[1])])(folder))


def test_flaws_stand_in_their_places(tmp_path):
    assert pairs(tmp_path, b"a\r\nb\xff\nc\n", b"A\nB\n\n") == [("a", "A"), (NOT_UTF8, "B"), ("c", "")]
    tsv = b"a\tA\tby me\nb\nc\tC\n"
    assert pairs(tmp_path, tsv, tsv, column=1) == [("A", "A"), (NO_COLUMN, NO_COLUMN), ("C", "C")]


def test_sides_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="src has 3 sentences but tgt has 1: nobody knows which belong together"):
        pairs(tmp_path, b"a\nb\nc\n", b"A\n")
    with pytest.raises(ValueError, match="src has 1 sentences but tgt has 4"):
        pairs(tmp_path, b"a\n", b"A\nB\nC\nD\n")


def test_sgml_gives_its_segments_with_their_characters(tmp_path):
    src = """<srcset setid="t" srclang="any"><doc docid="1">
        <hl>
        <seg id="1"> Müller &amp; S&#246;hne &lt;3 &quot;x&quot; &amp;lt; </seg>
        </hl><p><seg id="2">zwei
        Zeilen</seg> <seg id="3">a&copy=b &#55296; &#x1F600;</seg></p></doc></srcset>"""
    tgt = b"<refset><seg id=1>one</seg>\n<seg id=2></seg>\n<seg id=3>bad \xff</seg></refset>"
    assert pairs(tmp_path, src.encode(), tgt, markup="sgml") == [
        ('Müller & Söhne <3 "x" &lt;', "one"),
        ("zwei\n        Zeilen", ""),
        ("a&copy=b &#55296; 😀", NOT_UTF8),
    ]


def test_of_teds_files_the_talk_is_kept_and_what_is_about_it_is_not(tmp_path):
    src = b"<doc docid=1>\n<url>http://x</url>\n<title>T</title>\n Hallo. \n<3 sagt er\n</doc>\n"
    tgt = b"<url>http://x</url>\n<reviewer href='x'>y</reviewer>\nHello.\n<3 he says\n"
    assert pairs(tmp_path, src, tgt, markup="ted") == [("Hallo.", "Hello."), ("<3 sagt er", "<3 he says")]
