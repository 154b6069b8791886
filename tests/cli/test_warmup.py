"""`warmup`: what it compiles is found by the models that need it, and is not compiled again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import done, program, refused
from numdnc import DNCSpec
from numdnc.cli.warmup import MODELS
from numdnc.engines.cpu import ENGINE, cache, compile_ahead
from numdnc.engines.cpu import engine as engine_module
from numdnc.engines.cpu.kernels import compiling


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is compiled; nothing is, and nothing counts as kept."""
    found: list[str] = []

    def spied(kernel: Any, other: Any, dtype: np.dtype[Any], *, helper: bool) -> bool:
        found.extend(f"{each.__name__} {dtype}" for each in (kernel, other))
        return len(found) > 2

    monkeypatch.setattr(engine_module, "compile_both", spied)
    return found


def test_all_kinds_by_default(compiled: list[str]) -> None:
    lines = done("warmup").splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(MODELS)
    assert lines[0] == "lstm    was compiled already"
    assert lines[1].startswith("dnc     compiled in ")
    assert lines[-1] == f"kept in {cache.cache_folder()}"
    kinds = ("recurrent", "dnc", "ntm", "sparse")
    assert compiled == [f"{kind}_{way} float32" for kind in kinds for way in ("forward", "backward")]


def test_those_named_once_each(compiled: list[str]) -> None:
    found = json.loads(done("warmup", "ntm", "ntm", "--dtype", "float64", "--json"))
    assert compiled == ["ntm_forward float64", "ntm_backward float64"]
    assert found == {"dtype": "float64", "folder": str(cache.cache_folder()), "seconds": {"ntm": None}}


def test_a_second_direction_is_an_lstm(compiled: list[str]) -> None:
    assert ENGINE.compile(DNCSpec(input_size=1, output_size=1, bidirectional=True), np.dtype("float32"))
    assert {name.partition("_")[0] for name in compiled} == {"dnc", "recurrent"}


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("warmup", "gru", expect="one of lstm, dnc, ntm, sparse")
    refused("warmup", "--dtype", "float16", expect="one of float32, float64")
    with monkeypatch.context() as patch:
        patch.setattr(cache, "why_not_kept", lambda: "it is read-only")
        refused("warmup", expect="it is read-only|NUMBA_CACHE_DIR")
    monkeypatch.setattr(engine_module, "_kernels", lambda spec: (len, len))
    refused("warmup", "lstm", expect="NUMBA_DISABLE_JIT must be 0")


def test_what_is_announced_is_what_is_compiled_ahead() -> None:
    ahead = {kernel.py_func for spec in MODELS.values() for kernel in engine_module._kernels(spec)}
    assert ahead == compiling._ENTRIES


@pytest.mark.thorough
def test_what_was_compiled_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))

    def run(*words: object) -> tuple[str, str]:
        process = program(*words)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out.decode(), err.decode()

    assert run("warmup", "lstm")[0].startswith("lstm    compiled in ")
    kept = sorted(path.name for path in (tmp_path / "cache").rglob("*.nbc"))
    assert [name.partition("-")[0] for name in kept] == ["recurrent_backward", "recurrent_forward"]
    assert run("warmup", "lstm")[0] == f"lstm    was compiled already\nkept in {folder_of(tmp_path)}\n"
    _, said = run("train", "copy", "--model", "rnn", "--hidden", 4, "--steps", 2, "--out", "run")
    assert "compiled" not in said
    later = {path.name for path in (tmp_path / "cache").rglob("*.nbc")} - {*kept}
    loops = {name.partition("-")[0] for name in later}  # compiled within a second
    assert loops == {"rmsprop", "sum_of_squares"}


def folder_of(path: Path) -> Path:
    (kernels,) = (path / "cache" / "numdnc").iterdir()
    return kernels


def test_a_helper_compiles_the_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there already is neither compiled nor waited for in vain."""
    order: list[str] = []

    class Kernel:
        overloads: tuple[()] = ()

        def __init__(self, name: str) -> None:
            self.name = name

        def compile(self, types: Any) -> None:
            order.append(f"compile {self.name}")

    monkeypatch.setattr(compile_ahead, "_is_kept", lambda kernel, dtype: kernel.name == "kept")
    monkeypatch.setattr(compile_ahead, "signature", lambda dtype: ())
    monkeypatch.setattr(compile_ahead, "compile_meanwhile", lambda *_: order.append("helper"))
    monkeypatch.setattr(compile_ahead, "await_compiled", lambda *_: order.append("wait"))
    kept, new = Kernel("kept"), Kernel("new")
    assert compile_ahead.compile_both(kept, new, np.dtype("float32"), helper=True)
    assert order == ["helper", "compile kept", "wait", "compile new"]
    order.clear()
    assert not compile_ahead.compile_both(kept, kept, np.dtype("float32"), helper=False)
    assert "helper" not in order
