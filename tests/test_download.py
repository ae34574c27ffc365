"""Files from a network that fails in every way: what arrives is right, or one line says what did not."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.file_server import FileServer, file_server

DATA_SCRIPTS = Path(__file__).resolve().parents[1] / "data_scripts"
sys.path.insert(0, str(DATA_SCRIPTS))

import download  # noqa: E402
from download import Downloads, Source  # noqa: E402

CONTENT = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_WAITS_S", (0, 0))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as server:
        server.files["a.bin"] = CONTENT
        yield server


def source(server: FileServer, name: str = "a.bin", **known: object) -> Source:
    return Source(name, f"{server.url}/{name}", **{"digest": f"sha256:{SHA256}", **known})


def ranges(server: FileServer) -> list[str | None]:
    return [asked for _, asked in server.asked]


def assert_whole(folder: Path, name: str = "a.bin") -> None:
    assert (folder / name).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_file_arrives_and_is_not_asked_for_again(server, tmp_path):
    got = Downloads(tmp_path).get(source(server))
    assert (got.num_bytes, got.sha256, got.checked_against) == (len(CONTENT), SHA256, f"sha256:{SHA256}")
    assert Downloads(tmp_path).get(source(server)).url is None
    assert len(server.asked) == 1
    assert_whole(tmp_path)


def test_a_connection_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    server.faults["a.bin"] = ["cut", "cut"]
    Downloads(tmp_path).get(source(server))
    assert ranges(server) == [None, "bytes=150000-", "bytes=225000-"]
    assert_whole(tmp_path)


def test_without_ranges_it_begins_anew(server, tmp_path):
    server.knows_ranges = False
    server.faults["a.bin"] = ["cut"]
    Downloads(tmp_path).get(source(server))
    assert_whole(tmp_path)


def test_without_a_length_the_sum_shows_what_is_missing(server, tmp_path):
    server.sends_lengths = False
    server.faults["a.bin"] = ["cut"]
    with pytest.raises(OSError, match="has the sha256 sum"):
        Downloads(tmp_path).get(source(server))
    assert not list(tmp_path.iterdir())
    Downloads(tmp_path).get(source(server))
    assert_whole(tmp_path)


@pytest.mark.parametrize("sends_etags", [True, False])
def test_a_file_that_changes_in_between_is_not_mixed(server, tmp_path, sends_etags):
    """With no known sum the server's mark of the version decides; without one nothing is gone on with."""
    server.sends_etags = sends_etags
    server.files["a.bin"] = CONTENT[::-1]

    def change() -> None:
        server.files["a.bin"] = CONTENT

    server.faults["a.bin"] = [change]
    Downloads(tmp_path).get(source(server, digest=None))
    assert_whole(tmp_path)


def test_files_of_two_addresses_are_not_mixed_though_of_the_same_date(server, tmp_path):
    server.sends_etags = False
    server.headers = {"Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
    server.files["older.bin"] = CONTENT[::-1]
    server.faults["older.bin"] = ["cut", 404]
    got = Downloads(tmp_path).get(Source("a.bin", f"{server.url}/older.bin"), source(server, digest=None))
    assert ranges(server) == [None, "bytes=150000-", None]
    assert got.path.read_bytes() == CONTENT


def test_what_arrived_before_a_kill_is_kept(server, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(DATA_SCRIPTS)!r})
from pathlib import Path
from download import Downloads, Source
Downloads(Path({str(tmp_path)!r})).get(Source("a.bin", {server.url!r} + "/a.bin", "sha256:{SHA256}"))
"""
    process: subprocess.Popen[bytes]

    def kill() -> None:
        while not partial.is_file() or partial.stat().st_size < 150_000:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()

    partial = tmp_path / "a.bin.partial"
    server.faults["a.bin"] = [kill]
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "no_proxy": "127.0.0.1"})
    assert process.wait(timeout=30) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin.partial", "a.bin.partial.json"]
    Downloads(tmp_path).get(source(server))
    assert ranges(server) == [None, "bytes=150000-"]
    assert_whole(tmp_path)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_kill_between_the_last_byte_and_the_name_costs_nothing(server, tmp_path, is_known):
    (tmp_path / "a.bin.partial").write_bytes(CONTENT)
    etag = f'"{SHA256[:16]}"'
    note = {"url": f"{server.url}/a.bin", "version": etag}
    (tmp_path / "a.bin.partial.json").write_text(json.dumps(note), encoding="utf-8")
    Downloads(tmp_path).get(source(server) if is_known else source(server, digest=None))
    assert ranges(server) == ["bytes=300000-"]
    assert_whole(tmp_path)


@pytest.mark.parametrize("damaged", [CONTENT[:1000][::-1], CONTENT + b"more"])
def test_a_damaged_beginning_is_thrown_away(server, tmp_path, damaged):
    (tmp_path / "a.bin.partial").write_bytes(damaged)
    Downloads(tmp_path).get(source(server))
    assert_whole(tmp_path)


def test_the_next_address_is_asked_when_one_is_of_no_use(server, tmp_path):
    """404, wrong bytes, a wrong size, an address that is no address, no such server: one after the other."""
    copies = [Source("a.bin", f"{server.url}/{name}", f"sha256:{SHA256}") for name in ("gone", "bad", "ok")]
    server.files |= {"bad": CONTENT[::-1], "ok": CONTENT, "long": CONTENT + b"more"}
    long = Source("a.bin", f"{server.url}/long", f"sha256:{SHA256}", len(CONTENT))
    nobody = [Source("a.bin", url, f"sha256:{SHA256}") for url in ("http://127.0.0.1:1/a", "nowhere")]
    got = Downloads(tmp_path).get(*copies[:2], long, *nobody, copies[2])
    assert got.url == f"{server.url}/ok"
    assert [path for path, _ in server.asked] == ["gone", "bad", "long", "ok"]
    assert_whole(tmp_path)


def test_a_copy_of_another_format_has_a_name_and_a_sum_of_its_own(server, tmp_path):
    server.files["b.zip"] = b"PK of its own"
    digest = f"md5:{hashlib.md5(b'PK of its own').hexdigest()}"
    copies = (Source("a.tgz", f"{server.url}/gone", f"sha256:{SHA256}"), source(server, "b.zip", digest=digest))
    assert Downloads(tmp_path).get(*copies).path == tmp_path / "b.zip"
    assert Downloads(tmp_path, offline=True).get(*copies).path == tmp_path / "b.zip"


def test_a_server_that_is_busy_is_asked_again_but_not_for_ever(server, tmp_path):
    server.faults["a.bin"] = [503, 429]
    Downloads(tmp_path).get(source(server))
    assert_whole(tmp_path)
    server.files["b.bin"] = CONTENT
    server.faults["b.bin"] = [503] * 9
    with pytest.raises(OSError, match=r"b\.bin \(HTTP 503 Service Unavailable\)"):
        Downloads(tmp_path).get(source(server, "b.bin"))
    assert len(server.asked) == 6


def test_a_server_that_falls_silent_is_left_after_the_timeout(server, tmp_path):
    server.faults["a.bin"] = ["hang"] * 9
    with pytest.raises(OSError, match="timed out"):
        Downloads(tmp_path, timeout_s=0.1).get(source(server, digest=None))


def test_failure_names_every_address_with_its_reason_and_what_to_place_where(server, tmp_path):
    server.files["a.bin"] = CONTENT[::-1]
    copies = (source(server), Source("a.bin", "http://127.0.0.1:1/a.bin", f"sha256:{SHA256}"))
    with pytest.raises(OSError) as error:
        Downloads(tmp_path / "new", mirror=f"{server.url}/mirror/").get(*copies)
    message = str(error.value)
    assert "\n" not in message
    assert f"{server.url}/mirror/a.bin (HTTP 404 Not Found)" in message
    assert f"{server.url}/a.bin (has the sha256 sum" in message and f", not {SHA256})" in message
    assert re.search(r"http://127\.0\.0\.1:1/a\.bin \(.*refused\)", message)
    assert message.endswith(f"; these files are missing in {tmp_path / 'new'}: a.bin from {server.url}/a.bin")
    assert not list((tmp_path / "new").iterdir())


def test_a_proxy_that_refuses_is_named(server, tmp_path, monkeypatch):
    address = server.url.removeprefix("http://")
    monkeypatch.setenv("https_proxy", f"http://me:secret@{address}")
    with pytest.raises(OSError, match=f"Tunnel connection failed: 403 Forbidden.*; proxies: {address}; these files"):
        Downloads(tmp_path).get(Source("a.bin", "https://nobody.invalid/a.bin"))


def test_a_mirror_is_asked_first_and_its_own_sums_count(server, tmp_path):
    server.files["house/a.bin"] = b"packed anew"
    digests = {"a.bin": f"sha256:{hashlib.sha256(b'packed anew').hexdigest()}"}
    got = Downloads(tmp_path, mirror=f"{server.url}/house", digests=digests).get(source(server, num_bytes=len(CONTENT)))
    assert got.path.read_bytes() == b"packed anew"
    assert got.url == f"{server.url}/house/a.bin"


def test_offline_it_says_what_to_place_where_and_takes_it_from_there(server, tmp_path):
    missing = f"these files are missing in {tmp_path}: a.bin from {server.url}/a.bin, c.bin from {server.url}/c.bin"
    (tmp_path / "b.bin").write_bytes(CONTENT)
    downloads = Downloads(tmp_path, offline=True)
    for name in ("a.bin", "b.bin", "c.bin"):
        downloads.want(source(server, name))
    with pytest.raises(FileNotFoundError, match=f"--offline was given, but {missing}"):
        downloads.fetch()
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert Downloads(tmp_path, offline=True).get(source(server)).sha256 == SHA256
    assert not server.asked


def test_a_wrong_file_placed_by_hand_is_refused_and_kept(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.bin has 2 bytes, not 300,000; delete it"):
        Downloads(tmp_path).get(source(server, num_bytes=len(CONTENT)))
    with pytest.raises(ValueError, match=f"a.bin has the sha256 sum .*, not {SHA256}; delete it"):
        Downloads(tmp_path).get(source(server))
    assert (tmp_path / "a.bin").read_bytes() == b"no"


def test_without_a_known_sum_the_one_found_is_said_but_a_login_page_is_refused(server, tmp_path, capsys):
    Downloads(tmp_path).get(source(server, digest=None))
    assert f"checked against nothing: pin it with --sha256 a.bin={SHA256}" in capsys.readouterr().err
    server.files["b.zip"] = b"<html>Please log in</html>"
    with pytest.raises(OSError, match=r"is no \.zip file: it begins b'<html>Please"):
        Downloads(tmp_path).get(source(server, "b.zip", digest=None))
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_disk_that_is_too_small_is_found_out_before(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: download.shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(OSError, match="no room in .*: 300,000 bytes are still to come, 5 are free"):
        Downloads(tmp_path).get(source(server))
    assert not list(tmp_path.iterdir())
