"""The kernel cache of the engine `cpu`: machine code is compiled once, and a bad cache is never an error."""

import compileall
import shutil
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from helpers.contract import Case
from helpers.cpu_teams import PACKAGE, run_python
from numdnc.engines.cpu import cache
from numdnc.engines.cpu.kernels import sequence
from numdnc.tree import leaves

COMPILE = """
import numpy as np
import numdnc
from numdnc.engines.cpu.kernels.arrays import add
from numdnc.engines.cpu.kernels.compiling import entry

@entry
def double(numbers, same):
    add(numbers, same)

double(np.ones(3), np.ones(3))
"""
"""A kernel that compiles at once, made of one of the package's."""
TWO = COMPILE + "double(np.ones(3, np.float32), np.ones(3, np.float32))\n"
SAY_WHERE = COMPILE + "print(numdnc.__file__)\n"
ENGINE = """
import numpy as np
import numdnc
from numdnc.engines.cpu import CPUEngine

spec = numdnc.RNNSpec(input_size=2, output_size=3, hidden_sizes=(4,))
params, state = numdnc.init_params(spec, 0), numdnc.zero_state(spec, 1)
outputs, state, tape = CPUEngine(1).forward(spec, params, np.ones((3, 1, 2), np.float32), state, keep_tape=True)
assert np.isfinite(outputs).all()
CPUEngine(1).backward(spec, params, tape, outputs, state)
"""
NOTICE = "engine cpu is compiled for this kind of model: up to half a minute, "


def compile_in(folder: Path, code: str = COMPILE, **environment: str) -> Any:
    """What a fresh interpreter does whose caches are in this folder."""
    return run_python(code, **{"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(folder), **environment})


def kept(folder: Path) -> list[Path]:
    """Every file that is kept below."""
    return sorted(path for path in (folder / "numdnc").rglob("*") if path.is_file())


@pytest.mark.thorough
def test_the_kernels_of_a_model_are_compiled_once(tmp_path: Path) -> None:
    compile_in(tmp_path, ENGINE)
    names = [path.name.partition("-")[0] for path in kept(tmp_path)]
    assert names == ["recurrent_backward", "recurrent_forward"]
    assert compile_in(tmp_path, ENGINE).stderr == ""


def test_kernels_are_compiled_once_and_that_is_said(tmp_path: Path) -> None:
    first = compile_in(tmp_path, TWO)
    (folder,) = (tmp_path / "numdnc").iterdir()
    assert folder.name.startswith("kernels-")
    assert first.stderr == f"{NOTICE}once (kept in {folder})\n"
    files = kept(tmp_path)
    assert [path.name.partition("-")[0] for path in files] == ["double", "double"]
    second = compile_in(tmp_path, TWO)
    assert first.stdout == second.stdout == second.stderr == ""
    assert kept(tmp_path) == files


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one kernel in it."""
    folder = tmp_path_factory.mktemp("filled")
    compile_in(folder)
    return folder


def cut_short(contents: bytes) -> bytes:
    return contents[: len(contents) // 2]


def emptied(contents: bytes) -> bytes:
    return b""


def altered(contents: bytes) -> bytes:
    middle = len(contents) // 2
    return contents[:middle] + bytes([contents[middle] ^ 1]) + contents[middle + 1 :]


def of_another_kind(contents: bytes) -> bytes:
    """Whole, and of no use."""
    return sha256(b"no pickle").digest() + b"no pickle"


thorough = partial(pytest.param, marks=pytest.mark.thorough)


@pytest.mark.parametrize("spoil", [*map(thorough, [cut_short, emptied, of_another_kind]), altered])
def test_a_file_that_cannot_be_used_is_made_anew(spoil: Any, filled: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(filled, tmp_path / "cache"))
    (file,) = kept(place)
    file.write_bytes(spoil(file.read_bytes()))
    assert compile_in(place).stderr.startswith(f"{NOTICE}once")
    assert kept(place) == [file]
    assert compile_in(place).stderr == ""


FULL_DISK = """
import errno, pathlib
def full(path, contents):
    with path.open("wb") as file:
        file.write(contents[:100])
    raise OSError(errno.ENOSPC, "No space left on device")
pathlib.Path.write_bytes = full
"""


@pytest.mark.thorough
def test_a_full_disk_is_said_once_and_left_as_it_was(tmp_path: Path) -> None:
    done = compile_in(tmp_path, FULL_DISK + TWO)
    notice, warning = done.stderr.splitlines()
    assert notice.startswith(NOTICE)
    (folder,) = (tmp_path / "numdnc").iterdir()
    assert warning == (
        f"compiled kernels cannot be kept in {folder}: No space left on device; each process will compile them again"
    )
    assert kept(tmp_path) == []


NOBODY = """
import os, pwd
def getpwuid(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = getpwuid
os.environ.pop("HOME", None)
"""


@pytest.mark.thorough
def test_a_user_without_a_home_needs_no_cache() -> None:
    pytest.importorskip("pwd")
    done = run_python(NOBODY + COMPILE, NUMBA_CACHE_DIR="", XDG_CACHE_HOME="")
    assert done.stderr == f"{NOTICE}every time (no folder for caches is known)\n"


@pytest.fixture(scope="module")
def nowhere_to_keep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """A copy of the package, a cache folder that cannot be made, and what happened."""
    folder = tmp_path_factory.mktemp("nowhere")
    copy = Path(shutil.copytree(PACKAGE, folder / "numdnc", ignore=shutil.ignore_patterns("__pycache__")))
    file = folder / "file"
    file.touch()
    return copy, file, compile_in(file / "cache", SAY_WHERE, HOME=str(file), PYTHONPATH=str(folder))


def test_without_a_cache_folder_it_works(nowhere_to_keep: tuple[Path, Path, Any]) -> None:
    copy, file, done = nowhere_to_keep
    assert Path(done.stdout.strip()).parent == copy
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{NOTICE}every time ({file}")
    assert line.endswith(" cannot be made)")


def test_without_a_cache_folder_nothing_is_kept(nowhere_to_keep: tuple[Path, Path, Any]) -> None:
    """Numba would keep kernels beside the source, and use them when another file that they are made of has changed."""
    assert [path.name for path in nowhere_to_keep[0].rglob("*.nb?")] == []


def in_a_zip(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", PACKAGE.parent, "numdnc"))


def of_compiled_files_only(folder: Path) -> Path:
    copy = shutil.copytree(PACKAGE, folder / "numdnc", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(copy, quiet=1, legacy=True)
    for path in Path(copy).rglob("*.py"):
        path.unlink()
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("installed", [in_a_zip, of_compiled_files_only])
def test_a_package_without_source_files_keeps_its_kernels_too(installed: Any, tmp_path: Path) -> None:
    path, place = str(installed(tmp_path / "installed")), tmp_path / "cache"
    first = compile_in(place, SAY_WHERE, PYTHONPATH=path)
    assert first.stdout.startswith(path)
    assert first.stderr.startswith(f"{NOTICE}once")
    assert len(kept(place)) == 1
    assert compile_in(place, SAY_WHERE, PYTHONPATH=path).stderr == ""


@pytest.mark.thorough
def test_a_cache_that_can_only_be_read_is_read(filled: Path, tmp_path: Path) -> None:
    """As in an image of a container that was filled when it was made."""
    writes = "import os\nos.replace = os.rename = os.mkdir = None\n"
    assert compile_in(filled, writes + COMPILE).stderr == ""


def test_another_source_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder() -> Path | None:
        cache.cache_folder.cache_clear()
        return cache.cache_folder()

    try:
        there = folder()
        copy = Path(
            shutil.copytree(PACKAGE, tmp_path / "numdnc", ignore=shutil.ignore_patterns("__pycache__"))
        )
        monkeypatch.setattr(cache, "files", lambda package: tmp_path.joinpath(*package.split(".")))
        assert folder() == there
        folders = [there]
        kernels = sorted((copy / "engines" / "cpu" / "kernels").rglob("*.py"))
        for path in (*kernels, copy / "spec.py"):
            path.write_text(path.read_text(encoding="utf-8") + "# another\n", encoding="utf-8")
            folders.append(folder())
        assert len(set(folders)) == len(folders) > 10
    finally:
        cache.cache_folder.cache_clear()


@pytest.mark.parametrize("name", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_the_cache_folder_can_be_chosen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder() -> Path:
        cache.cache_folder.cache_clear()
        found = cache.cache_folder()
        assert found
        return found.parents[1]

    for each in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    try:
        assert folder() == Path.home() / ".cache"
        monkeypatch.setenv(name, str(tmp_path))
        assert folder() == tmp_path
        monkeypatch.setenv(name, "relative")
        assert folder() == Path.home() / ".cache"
    finally:
        cache.cache_folder.cache_clear()


@pytest.mark.parametrize("spec_name", ["lstm", "dnc", "dnc-ADNC"])
@pytest.mark.parametrize("symbols", [False, True])
def test_kernels_are_not_compiled_again_for_arrays_that_are_read_only(spec_name: str, symbols: bool) -> None:
    case = Case("cpu", spec_name, "float64")
    problem = case.problem(symbols=symbols)
    case.run(problem)
    entries = (
        sequence.dnc_forward,
        sequence.dnc_backward,
        sequence.recurrent_forward,
        sequence.recurrent_backward,
    )
    before = [len(entry.signatures) for entry in entries]
    for leaf in leaves(problem):
        leaf.flags.writeable = False
    case.run(problem)
    assert [len(entry.signatures) for entry in entries] == before
