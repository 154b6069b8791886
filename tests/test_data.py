"""Corpora: found, verified, downloaded from a real server on this machine, and every refusal in one line."""

import contextlib
import errno
import gzip
import hashlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from numdnc import corpora, corpus_files, data, download
from numdnc.errors import UserError

TEXT = b"It was the best of times,\r\nit was the worst of times.\r\n" * 40
PUBLISHED = dict(corpora.CORPORA)  # before a fixture puts test corpora in its place
PARTS = {"part.one.txt": b"one\n", "part.two.txt": b"two\n"}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


ARCHIVE = zipped({"../escape.txt": b"not to be written", "other.txt": b"other", "tale.txt": TEXT})


class Server(ThreadingHTTPServer):
    """Serves `bodies` by path; remembers what was asked for; `cut` bytes are missing at the end of a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {"/tale.zip": ARCHIVE} | {
            f"/{name}": body for name, body in PARTS.items()
        }
        self.asked: list[str] = []
        self.cut = 0
        self.says_length: bool | int = True
        self.pause = 0.0
        """Seconds between two bytes, headers included; 0 = all at once."""
        self.awake = threading.Event()
        self.awake.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.awake.wait(5)
        body = self.server.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        if self.server.pause:
            self.drip(b"HTTP/1.0 200 OK\r\n\r\n" + body)
            return
        self.send_response(200)
        if self.server.says_length:
            length = len(body) if self.server.says_length is True else self.server.says_length
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body[: len(body) - self.server.cut])

    def drip(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            for byte in answer:
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.pause)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield running
        running.awake.set()
        running.shutdown()
        thread.join()


def source(name: str, body: bytes, url: str) -> corpora.SourceFile:
    return corpora.SourceFile(name, len(body), hashlib.sha256(body).hexdigest(), url)


def register(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    tale = source("tale.txt", TEXT, f"{base}/tale.zip")
    parts = tuple(source(name, body, f"{base}/{name}") for name, body in PARTS.items())
    known = {
        corpora.EMBEDDED: corpora.CORPORA[corpora.EMBEDDED],
        "tale": corpora.Registered("a tale", (tale,)),
        "parts": corpora.Registered("two parts", parts),
    }
    for module in (data, corpus_files):
        monkeypatch.setattr(module, "CORPORA", known)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user cache, no data folder, no proxy, and test corpora whose server does not exist."""
    for name in (data.FOLDER_VARIABLE, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    register(monkeypatch, "http://127.0.0.1:1")
    return tmp_path / "cache" / "numdnc" / "corpora"


@pytest.fixture
def served(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    register(monkeypatch, server.url)
    return server


@contextlib.contextmanager
def refused(*words: object) -> Iterator[None]:
    """Expect a UserError of one line that says must and got, and holds all `words`."""
    with pytest.raises(UserError) as caught:
        yield
    text = str(caught.value)
    assert re.fullmatch(r".+ must .+ got.+\..+\.\)?", text), text
    assert [word for word in words if str(word) not in text] == [], text


def write(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- the embedded default and files given by their path


def test_the_embedded_corpus_is_the_help_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydoc_data import topics

    assert len(data.load("python-topics").data) > 100_000
    monkeypatch.setattr(topics, "topics", {"b": "Bee é\n", "c": "\n  Sea\n\n", "a": "Ay\n"})
    assert data.load("python-topics").data.decode() == "Ay\n\nBee é\n\n  Sea\n"


def test_a_python_without_its_topics_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with refused("python-topics", "pydoc_data"):
        data.load("python-topics")


def test_a_path_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "sub" / "mine.txt", bytes(range(256)) + b"\r\n\r")
    monkeypatch.chdir(tmp_path)
    for given in (str(path), "sub/mine.txt"):
        assert data.load(given)[:2] == (given, path.read_bytes())


def test_what_is_no_corpus_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("'alise'", "python-topics, tale, parts", "./my-text.txt"):
        data.load("alise")
    with refused("a folder of a corpus must hold files .txt or .txt.gz, got none", str(tmp_path)):
        data.load(str(tmp_path))
    with refused("empty", "nothing.txt"):
        data.load(str(write(tmp_path / "nothing.txt", b"")))
    with refused("File name too long"):
        data.load("a" * 5000)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", b"second ")
    write(tmp_path / "a.txt.gz", gzip.compress(b"first "))
    write(tmp_path / "c" / "d.txt", b"third")
    write(tmp_path / "e.jpg", b"no text")
    assert data.load(str(tmp_path)).data == b"first second third"
    assert data.load(str(tmp_path / "a.txt.gz")).data == b"first "


def test_gzip_that_is_cut_short_damaged_or_huge_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(bytes(range(256)) * 40)
    damaged = packed[:60] + bytes([packed[60] ^ 255]) + packed[61:]
    for spoilt in (packed[:-9], packed[:20], damaged):
        with refused("mine.txt.gz must be a whole file of gzip"):
            data.load(str(write(tmp_path / "mine.txt.gz", spoilt)))
    monkeypatch.setattr(corpus_files, "memory_bytes", lambda: 10_000)
    with refused("the corpus must fit into the 10,000 bytes"):
        data.load(str(write(tmp_path / "mine.txt.gz", packed)))
    half = write(tmp_path / "two" / "a.txt", b"a" * 2000)
    assert data.load(str(half.parent)).data == b"a" * 2000
    write(tmp_path / "two" / "b.txt", b"b" * 2000)
    with refused("the corpus must fit into", "b.txt"):
        data.load(str(half.parent))


def test_an_unreadable_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Simulated, since no file mode stops a test that runs as root.
    monkeypatch.setattr(corpus_files, "open_regular_file", denied)
    with refused("mine.txt must be readable", "Permission denied"):
        data.load(str(write(tmp_path / "mine.txt", b"text")))


# --- registered corpora on disk


def test_a_registered_corpus_is_found_in_each_folder(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named = tmp_path / "given", tmp_path / "named"
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(named))
    for folder in (home, named, given):  # from the last place looked in to the first
        path = write(folder / "tale.txt", TEXT)
        assert data.load("tale", given)[:2] == ("tale", TEXT)
        assert {status.name: status.path for status in data.list_corpora(given)}["tale"] == path


def test_an_archive_serves_as_the_file(tmp_path: Path) -> None:
    archive = write(tmp_path / "tale.zip", ARCHIVE)
    assert data.load("tale", tmp_path).data == TEXT
    assert data.list_corpora(tmp_path)[1].path == archive
    file = write(tmp_path / "tale.txt", TEXT)
    write(archive, b"no longer looked at")
    assert data.load("tale", tmp_path).data == TEXT
    assert data.list_corpora(tmp_path)[1].path == file


def test_several_files_make_one_corpus_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "part.two.txt", b"two\n")
    with refused("part.one.txt + part.two.txt", tmp_path, "numdnc data fetch parts", "--data", "NUMDNC_DATA"):
        data.load("parts", tmp_path)
    assert data.list_corpora(tmp_path)[2].path is None
    write(tmp_path / "part.one.txt", b"one\n")
    assert data.load("parts", tmp_path).data == b"one\ntwo\n"
    assert data.list_corpora(tmp_path)[2][2:] == (8, tmp_path)


def test_a_missing_corpus_names_every_folder_looked_in(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "named"))
    with refused("tale.txt (or tale.zip)", tmp_path / "given", tmp_path / "named", home, "data fetch tale"):
        data.load("tale", tmp_path / "given")


def test_another_text_under_the_name_is_refused(tmp_path: Path) -> None:
    other = TEXT.replace(b"\r\n", b"\n")  # what a checkout that converts newlines leaves
    path = write(tmp_path / "tale.txt", other)
    with refused(path, hashlib.sha256(TEXT).hexdigest(), hashlib.sha256(other).hexdigest()):
        data.load("tale", tmp_path)
    with refused("tale.zip", hashlib.sha256(other).hexdigest()):
        data.load("tale", write(tmp_path / "zip" / "tale.zip", zipped({"tale.txt": other})).parent)
    assert data.load(str(path)).data == other


def test_the_name_wins_over_a_file_called_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "tale", b"my own tale")
    monkeypatch.chdir(tmp_path)
    with refused("./tale"):
        data.load("tale")
    assert data.load("./tale")[:2] == ("./tale", b"my own tale")


@pytest.mark.parametrize(
    "damage", ["cut", "packed wrongly", "other content", "not a zip", "without the member"]
)
def test_a_useless_archive_is_said(damage: str, tmp_path: Path) -> None:
    start = ARCHIVE.index(b"tale.txt") + len("tale.txt")
    broken, word = {
        "cut": (ARCHIVE[:-9], "not a zip file"),
        "packed wrongly": (ARCHIVE[:start] + b"\xff" + ARCHIVE[start + 1 :], "invalid block type"),
        "other content": (ARCHIVE.replace(zlib.crc32(TEXT).to_bytes(4, "little"), b"abcd"), "Bad CRC-32"),
        "not a zip": (b"<html>sign in first</html>", "not a zip file"),
        "without the member": (zipped({"folder/tale.txt": TEXT}), "contain tale.txt"),
    }[damage]
    with refused(write(tmp_path / "tale.zip", broken), word):
        data.load("tale", tmp_path)


def test_the_list_shows_what_there_is(home: Path) -> None:
    embedded, tale, parts = data.list_corpora()
    assert embedded.size == len(data.load("python-topics").data)
    assert embedded.path is not None and embedded.path.exists()
    assert tale == ("tale", "a tale", len(TEXT), None)
    assert parts.path is None


def test_the_default_folder(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert data.default_folder() == home
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert data.default_folder() == tmp_path / ".cache" / "numdnc" / "corpora"
    monkeypatch.setenv(data.FOLDER_VARIABLE, "here")
    assert data.default_folder() == Path("here")


def test_a_user_without_a_home_can_name_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    write(tmp_path / "tale.txt", TEXT)
    assert data.load("tale", tmp_path).data == TEXT
    with refused("home", "--data"):
        data.load("tale")
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    assert data.load("tale").data == TEXT


# --- downloads


def test_a_download_is_verified_unpacked_and_nothing_else(served: Server, home: Path) -> None:
    assert data.fetch("tale") == home / "tale.txt"
    assert left_in(home.parent.parent) == ["numdnc", "numdnc/corpora", "numdnc/corpora/tale.txt"]
    assert data.load("tale").data == TEXT
    assert served.asked == ["/tale.zip"]


def test_what_is_there_is_not_downloaded_again(served: Server, tmp_path: Path) -> None:
    assert data.fetch("tale", tmp_path / "a") == data.fetch("tale", tmp_path / "a")
    assert served.asked == ["/tale.zip"]
    archive = write(tmp_path / "b" / "tale.zip", ARCHIVE)
    assert data.fetch("tale", archive.parent) == archive
    assert served.asked == ["/tale.zip"]
    write(tmp_path / "c" / "part.one.txt", PARTS["part.one.txt"])
    assert data.fetch("parts", tmp_path / "c") == tmp_path / "c"
    assert served.asked == ["/tale.zip", "/part.two.txt"]
    assert data.load("parts", tmp_path / "c").data == b"one\ntwo\n"


@pytest.mark.parametrize("says_length", [True, False])
def test_progress_counts_the_bytes_of_the_body(
    says_length: bool, served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.says_length = says_length
    monkeypatch.setattr(download, "CHUNK_BYTES", 100)
    seen: list[tuple[int, int | None]] = []
    data.fetch("tale", tmp_path, lambda received, expected: seen.append((received, expected)))
    steps = [received for received, _ in seen]
    assert all(0 < after - before <= 100 for before, after in pairwise([0, *steps]))
    assert steps[-1] == len(ARCHIVE)
    assert {expected for _, expected in seen} == {len(ARCHIVE) if says_length else None}


def test_a_wrong_file_is_replaced_only_by_the_right_one(served: Server, tmp_path: Path) -> None:
    path = write(tmp_path / "tale.txt", b"damaged")
    served.cut = 1
    with refused("tale.zip"):
        data.fetch("tale", tmp_path)
    assert path.read_bytes() == b"damaged"
    served.cut = 0
    assert data.fetch("tale", tmp_path).read_bytes() == TEXT
    assert left_in(tmp_path) == ["tale.txt"]
    archive = write(tmp_path / "sub" / "tale.zip", ARCHIVE[:-1])
    assert data.fetch("tale", archive.parent).read_bytes() == TEXT


WRONG = hashlib.sha256(b"uno\n").hexdigest()


@pytest.mark.parametrize(
    ("name", "body", "cut", "words"),
    [
        ("tale", None, 0, ["/tale.zip", "HTTP status 404", "Check the network"]),
        ("tale", ARCHIVE, 7, [f"only {len(ARCHIVE) - 7} of {len(ARCHIVE)} bytes"]),
        ("tale", b"<html>sign in first</html>", 0, ["/tale.zip", "sound zip archive"]),
        ("tale", zipped({"other.txt": TEXT}), 0, ["/tale.zip must contain tale.txt"]),
        ("tale", zipped({"tale.txt": TEXT[:-1]}), 0, [hashlib.sha256(TEXT).hexdigest(), "not kept"]),
        ("parts", b"uno\n", 0, [hashlib.sha256(b"one\n").hexdigest(), WRONG, "not kept"]),
    ],
    ids=["missing", "cut", "not a zip", "without the member", "wrong member", "wrong file"],
)
def test_a_failed_download_is_said_and_leaves_nothing(
    name: str, body: bytes | None, cut: int, words: list[str], served: Server, tmp_path: Path
) -> None:
    served.bodies = {"/tale.zip": body, "/part.one.txt": body} if body else {}
    served.cut = cut
    with refused(*words):
        data.fetch(name, tmp_path / "new")
    assert left_in(tmp_path / "new") == []


def test_a_cut_body_of_unsaid_length_is_caught_by_its_content(served: Server, tmp_path: Path) -> None:
    served.says_length, served.cut = False, 1
    with refused("sound zip archive"):
        data.fetch("tale", tmp_path)
    with refused(hashlib.sha256(b"one").hexdigest()):
        data.fetch("parts", tmp_path)
    assert left_in(tmp_path) == []


def test_a_server_that_cannot_be_reached_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        register(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}")
        with refused("Connection refused", tmp_path):
            data.fetch("tale", tmp_path)

    def unknown(*arguments: object, **named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with refused("got: Name or service not known. Check the network"):
        data.fetch("tale", tmp_path)
    assert left_in(tmp_path) == []


def test_a_silent_server_is_given_up(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.05)
    served.awake.clear()
    with refused("timed out"):
        data.fetch("tale", tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("seconds", [0.05, 1.0], ids=["in the headers", "in the body"])
def test_a_server_that_never_ends_is_given_up(
    seconds: float, served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never silent for long: a byte comes now and then."""
    monkeypatch.setattr(download, "START_SECONDS", seconds)
    served.bodies["/tale.zip"], served.pause = ARCHIVE * 100, 0.01
    with refused("must be downloadable in full, got: only ", "bytes in"):
        data.fetch("tale", tmp_path)
    assert left_in(tmp_path) == []


def test_no_more_is_downloaded_than_can_be_right(served: Server, tmp_path: Path) -> None:
    served.bodies["/part.one.txt"] = b"one\n" + bytes(1 << 20)
    served.says_length = False
    with refused("bytes or more, where at most 4 can be right"):
        data.fetch("parts", tmp_path)
    served.says_length, most = 3_000_000_000, len(TEXT) + (1 << 24)
    seen: list[int] = []
    with refused(f"got: 3,000,000,000 bytes or more, where at most {most:,} can be right"):
        data.fetch("tale", tmp_path, lambda received, expected: seen.append(received))
    assert seen == []
    assert left_in(tmp_path) == []


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(served: Server, tmp_path: Path) -> None:
    bomb = zipped({"tale.txt": TEXT + bytes(1 << 24)})
    served.bodies["/tale.zip"] = bomb
    with refused("must give tale.txt with SHA-256", hashlib.sha256(TEXT + b"\0").hexdigest()):
        data.fetch("tale", tmp_path / "new")
    with refused("got more bytes, "):
        data.load("tale", write(tmp_path / "tale.zip", bomb).parent)


def test_leftovers_of_a_killed_download_are_removed_when_old(served: Server, tmp_path: Path) -> None:
    old, fresh = (
        write(tmp_path / ".fetch-a" / "x", b"").parent,
        write(tmp_path / ".fetch-b" / "x", b"").parent,
    )
    os.utime(old, (0, 0))
    data.fetch("tale", tmp_path)
    assert (old.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_of_a_download(number: int, served: Server, tmp_path: Path) -> None:
    served.bodies["/tale.zip"], served.pause = ARCHIVE, 0.05
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pytest, test_data; from numdnc import cli\n"
        "test_data.register(pytest.MonkeyPatch(), sys.argv[2])\n"
        "sys.argv = ['numdnc', 'data', 'fetch', 'tale', '--data', sys.argv[3]]; cli.main()"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent), served.url, str(tmp_path / "new")]
    with subprocess.Popen(words) as process:
        while not list(tmp_path.glob("new/.fetch-*/*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait() == 128 + number
    assert left_in(tmp_path / "new") == []


def test_a_pipe_is_no_corpus(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with refused("must be an ordinary file"):
        data.load(str(tmp_path / "pipe"))
    os.mkfifo(tmp_path / "tale.txt")  # not looked at, as a folder of that name is not
    with refused("got it incomplete or not at all"):
        data.load("tale", tmp_path)
    with refused("must be readable, got: its name holds a NUL"):
        data.load("a\0b")


def test_a_text_that_does_not_fit_is_refused_with_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_files, "memory_bytes", lambda: 3 * 1999)
    path = write(tmp_path / "mine.txt", bytes(2000))
    with refused("fit into the 5,997 bytes of this machine's memory", "got 2,000 bytes", "may take 6,000"):
        data.load(str(path))
    assert len(data.load(str(write(path, bytes(1999)))).data) == 1999


def test_a_folder_that_cannot_be_written_is_said(
    served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "file", b"")
    with refused(file / "sub", "Not a directory", "--data"):
        data.fetch("tale", file / "sub")
    with refused(file, "File exists"):
        data.fetch("tale", file)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with refused(tmp_path / "new", "No space left on device", "Free some space"):
        data.fetch("tale", tmp_path / "new")
    assert left_in(tmp_path / "new") == []


def test_an_interrupted_download_leaves_nothing(served: Server, tmp_path: Path) -> None:
    def interrupt(received: int, expected: int | None) -> None:
        assert left_in(tmp_path) != []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.fetch("tale", tmp_path, interrupt)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["alise", "python-topics"])
def test_only_what_can_be_downloaded_is_fetched(name: str, tmp_path: Path) -> None:
    with refused("one of tale, parts", repr(name)):
        data.fetch(name, tmp_path)


# --- the module itself


def test_the_real_table_is_well_formed() -> None:
    files = [file for registered in PUBLISHED.values() for file in registered.files]
    assert list(PUBLISHED) == ["python-topics", "alice29", "ptb", "text8", "enwik8"]
    assert [file.name for file in PUBLISHED["ptb"].files] == [
        "ptb.train.txt",
        "ptb.valid.txt",
        "ptb.test.txt",
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
    assert len({file.sha256 for file in files}) == len({file.url for file in files}) == 6
    assert all(
        file.url.startswith("http") and (file.archive or file.url.endswith(file.name)) for file in files
    )


def test_importing_costs_nothing_that_is_not_used() -> None:
    heavy = {"urllib.request", "http.client", "zipfile", "tarfile", "pydoc_data.topics"}
    code = f"import sys, numdnc.data; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
