"""Well-formed files with a right checksum that lie: they are not believed, and the refusal says what is wrong."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hardening.hostile import DEEP, TODAY, bounded, signed, signed_module
from helpers.commands import call, done, error_line, refused
from numdnc import UserError, nn
from numdnc.files import file_name, load_arrays
from numdnc.inspection import trace_file
from numdnc.nn import files as nn_files
from numdnc.training import checkpoint
from numdnc.training.checkpoint import load_run

Change = Callable[[dict[str, Any], dict[str, Any]], object]
LAST = Path("run/last.safetensors")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(change: Change, source: str = "copy") -> None:
    """A run's folder whose checkpoints are today's with something changed, and a right checksum."""
    kind = checkpoint._kind()
    arrays, metadata = load_arrays(TODAY / f"{source}.safetensors", kind)
    change(arrays, metadata)
    Path("run").mkdir(exist_ok=True)
    for name in ("last", "best"):
        Path(f"run/{name}.safetensors").write_bytes(signed(kind, arrays, metadata))


def spec(**sizes: Any) -> Change:
    return lambda _, metadata: metadata["spec"].update(sizes)


def task(**settings: Any) -> Change:
    return lambda _, metadata: metadata["task"]["settings"].update(settings)


def told(**fields: Any) -> Change:
    return lambda _, metadata: metadata.update(fields)


def leaf(name: str, value: Any) -> Change:
    return lambda arrays, _: arrays.update({name: value})


def without_state(**sizes: Any) -> Change:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        for name in [name for name in arrays if name.startswith("state.")]:
            del arrays[name]
        metadata.update(carries_state=False)
        metadata["spec"].update(sizes)

    return change


def scored(**settings: Any) -> Change:
    return lambda _, metadata: metadata["task"]["episode_settings"].update(settings)


LIES: dict[str, tuple[Change, str]] = {
    "a layer of 20,000": (spec(hidden_sizes=[20_000]), "params.controller.0.weights is |not (20007, 80000)"),
    "outputs": (spec(output_size=10**8), "params.output.weights is |not (9, 100000000)"),
    "inputs": (spec(input_size=10**18), "params.controller.0.weights is "),
    "layers": (spec(hidden_sizes=[6] * 100_000), "hidden_sizes are 100000 layers, but there are "),
    "slots": (spec(memory_size=10**9), "state.memory is "),
    "slots of a state that is not there": (without_state(memory_size=10**9), "must fit into the "),
    "a batch of nothing": (told(batch=0), "batch: Expected int >= 1"),
    "a batch": (told(batch=10**9), "batch: Expected int <= |state.controller.0.hidden is "),
    "bits": (task(width=10**18), "width must be at most 65,536, got 1,000,000,000,000,000,000"),
    "vectors": (task(max_length=10**9), "max_length must be at most 65,536"),
    "a long sequence": (
        task(max_length=60_000, max_copies=60_000),
        "a sequence must have at most 1,048,576 numbers",
    ),
    "sequences": (scored(evaluated=10**9), "evaluated must be at most 1,048,576"),
    "an update": (scored(batch=60_000), "the batch is 60000, that of the run 2"),
    "iterations": (told(iteration=10**400), "iteration: Number out of range|iteration: Expected int <="),
    "seconds": (told(seconds=float("nan")), "seconds: Expected float >="),
    "an engine": (told(engine_name=5), "engine_name: Expected str, got int"),
    "a position": (told(position={"rng": 5}), "rng: Expected object, got int"),
    "a random state": (told(position={"rng": {"bit_generator": "MT19937"}}), "bit_generator"),
    "deep": (told(task={"name": DEEP}), "must describe itself by a JSON object, got none"),
    "NaN": (leaf("params.output.bias", np.full(2, np.nan, "f4")), "must be finite, got NaN or infinity in output.bias"),
    "a setting unknown": (lambda _, m: m["training"].update(colour=1), "unknown name '$.training.colour'"),
    "a task unknown": (lambda _, m: m["task"].update(name="../x"), "there is no task '../x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_run_that_lies(name: str) -> None:
    change, expect = LIES[name]
    write_run(change)
    with bounded():
        line = error_line(call("resume", "run", "--engine", "reference", "--steps", 5))
    assert any(fragment in line for fragment in expect.split("|")), line


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "F4", "C64", "I64"])
def test_numbers_of_types_that_we_do_not_write(dtype: str, place: Path) -> None:
    size = {"F4": 1, "BF16": 4, "C64": 16, "I64": 16}.get(dtype, 2)
    header = {"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, size]}}
    text = json.dumps({**header, "__metadata__": {"format": "5", "json": "{}", "sha256": ""}}).encode()
    (place / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * size)
    with pytest.raises(UserError, match=f"a is of {dtype}, not one of F16, F32, F64, I32, U8"):
        load_run(place / "x.safetensors")


@pytest.mark.parametrize("kind", ["checkpoint", "trace"])
def test_the_version_is_under_the_checksum(kind: str, place: Path) -> None:
    """Another number in the header is noticed, though all else is as it was."""
    module, name = (checkpoint, "copy") if kind == "checkpoint" else (trace_file, "trace")
    arrays, metadata = load_arrays(TODAY / f"{name}.safetensors", module._kind())
    whole = signed(module._kind(), arrays, metadata)
    number = str(module._kind().version).encode()
    label = f'"{module._kind().versions}":"'.encode()
    for other in range(1, int(number)):
        (place / "x").write_bytes(whole.replace(label + number, label + str(other).encode()))
        with pytest.raises(UserError, match="must match its checksum"):
            load_arrays(place / "x", module._kind())


def test_a_pipe_is_no_checkpoint(place: Path) -> None:
    Path("run").mkdir()
    os.mkfifo("run/last.safetensors")
    refused("eval", "run", expect="must be a file that can be read, got: it is a pipe or a device")


def test_nothing_is_written_through_a_link(place: Path) -> None:
    """A folder from elsewhere may hold links to anywhere."""
    write_run(lambda arrays, metadata: None)
    Path("mine").write_text("as it was\n")
    Path("run/metrics.jsonl").symlink_to(place / "mine")
    Path(f"run/.last.safetensors.{os.getpid()}").symlink_to(place / "mine")
    assert call("resume", "run", "--engine", "reference", "--steps", 6, "--sample-every", 0).code == 0
    assert Path("mine").read_text() == "as it was\n"


# Modules


def write_module(**changes: Any) -> None:
    contents = torch.load(TODAY / "model.pt", weights_only=True) | {"version": nn_files.VERSION}
    Path("m.pt").write_bytes(signed_module({**contents, **changes}))


def origin(**changes: Any) -> str:
    contents = torch.load(TODAY / "model.pt", weights_only=True)
    return json.dumps(json.loads(contents["origin"]) | changes)


def test_every_flipped_bit_of_the_weights_of_a_module_is_noticed(place: Path) -> None:
    write_module()
    whole = Path("m.pt").read_bytes()
    wanted = nn.load("m.pt").state_dict()
    read = 0
    for place_in_file in np.random.default_rng(0).integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[place_in_file] ^= 4
        Path("m.pt").write_bytes(damaged)
        try:
            got = nn.load("m.pt").state_dict()
        except UserError:
            continue
        read += 1  # names and padding of the zip hold nothing of the model
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
    assert read < 200


MODULES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "deep": (lambda: {"origin": "[" * 100_000 + "]" * 100_000}, "nested too deep"),
    "another origin": (lambda: {"origin": origin(batch="a")}, "batch: Expected int, got str"),
    "a version without checksum": (lambda: {"version": 1}, "its checksum is not that of its contents"),
    "a later version": (lambda: {"version": 9}, "must have version 3 or older, got 9. Update numdnc"),
    "no spec": (lambda: {"spec": None}, "spec: Expected object, got null"),
    "no tensors": (lambda: {"state_dict": {}}, "hidden_sizes are 1 layers, but there are 0 arrays"),
    "a list": (lambda: {"state_dict": [1]}, "state_dict is not names and plain tensors"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_lies(name: str) -> None:
    changes, expect = MODULES[name]
    write_module(**changes())
    with pytest.raises(UserError, match="must") as refusal:
        nn.load("m.pt")
    assert expect in str(refusal.value)


def test_a_module_that_claims_numbers_which_it_does_not_hold() -> None:
    weights = dict(torch.load(TODAY / "model.pt", weights_only=True)["state_dict"])
    weights["output.bias"] = torch.zeros(1).expand(10**8)
    write_module(state_dict=weights)
    with bounded(), pytest.raises(UserError, match="its tensors claim more numbers than it holds"):
        nn.load("m.pt")


def test_a_module_with_nan() -> None:
    weights = dict(torch.load(TODAY / "model.pt", weights_only=True)["state_dict"])
    weights["output.bias"] = torch.full_like(weights["output.bias"], float("nan"))
    write_module(state_dict=weights)
    with pytest.raises(UserError, match=r"must be finite, got NaN or infinity in output\.bias"):
        nn.load("m.pt")


def test_a_pickle_that_asks_for_memory_or_code() -> None:
    class Evil:
        def __init__(self, function: Any, *given: Any) -> None:
            self.all = function, given

        def __reduce__(self) -> Any:
            return self.all

    for evil in (Evil(bytearray, 10**12), Evil(os.system, "touch evil")):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"kind": evil}, protocol=2))
        Path("m.pt").write_bytes(file.getvalue())
        with bounded(), pytest.raises(UserError, match="which no plain tensor needs"):
            nn.load("m.pt")
    assert not Path("evil").exists()


def test_a_packed_module(place: Path) -> None:
    """Thirty kilobytes could unpack to gigabytes."""
    with zipfile.ZipFile("m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(UserError, match="its members are packed"):
        nn.load("m.pt")


# Text of a file as a path or on the terminal


@pytest.mark.parametrize(
    "name", ["/abs/olute", "../../up", "..", "", "a\0b", "x" * 500, "\x1b[2J", ".hidden"]
)
def test_a_name_from_a_file_stays_in_the_folder(name: str, place: Path) -> None:
    described = json.loads(origin())["task"] | {"name": name}
    write_module(origin=origin(task=described))
    done("export", "m.pt", "--to", "run")
    (made,) = Path("runs").iterdir()
    assert {path.name for path in place.iterdir()} == {"m.pt", "runs"}
    assert made.name.isprintable()


def test_file_names() -> None:
    texts = ("traversal", "a/b\\c:d", "..", "", "é\x1b[0m x", "y" * 99)
    assert [file_name(text) for text in texts] == ["traversal", "a-b-c-d", "run", "run", "0m-x", "y" * 60]


def test_escapes_of_a_trace_do_not_reach_the_terminal() -> None:
    write_run(lambda arrays, metadata: None)
    kind = trace_file._kind()
    arrays, metadata = load_arrays(TODAY / "trace.safetensors", kind)
    metadata |= {"sequence": "\x1b]0;title\x07\u202egnp.exe", "iteration": 1}
    Path("run/trace.safetensors").write_bytes(signed(kind, arrays, metadata))
    result = call("view", "run", "--no-open")
    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out + result.err


# Numbers that are none


def test_nan_is_diagnosed_and_else_refused() -> None:
    write_run(leaf("params.output.bias", np.full(2, np.nan, "f4")))
    for command in ("eval", "trace", "view", "resume", "export"):
        options = {"view": ["--no-open"], "resume": ["--steps", 9], "export": ["--to", "torch"]}
        refused(command, "run", *options.get(command, []), expect="must be finite, got NaN|numdnc diagnose")
    result = call("diagnose", "run", "--engine", "reference", "--json")
    assert result.code == 0
    assert result.err.startswith("warning: parameters hold NaN or infinity, the first of them output.bias")
    json.loads(result.out, parse_constant=pytest.fail)
    done("info", "run", "--engine", "reference")


def test_outputs_that_overflow_are_no_score(place: Path) -> None:
    huge: Change = lambda arrays, _: [  # noqa: E731
        array.fill(3e38) for name, array in arrays.items() if name.startswith("params.output")
    ]
    write_run(huge, "text")
    (place / "cats.txt").write_bytes((TODAY.parent / "0.1" / "cats.txt").read_bytes())
    for command in (
        ("eval", "--corpus", "cats.txt"),
        ("eval", "--json", "--corpus", "cats.txt"),
        ("sample",),
    ):
        line = error_line(call(command[0], "run", *command[1:], "--engine", "reference"))
        assert "outputs of the model must be finite" in line


# Sweeps


@pytest.mark.parametrize(
    ("text", "expect"),
    {
        "deep": ("[" * 100_000, "nested too deep"),
        "seeds": ('{"train": ["copy"], "vary": {}, "seeds": 1000000000}', "at most 100,000 runs"),
        "combinations": (
            json.dumps({"train": ["copy"], "vary": {c: list("0123456789") for c in "abcdefghi"}, "seeds": 1}),
            "at most 100,000 runs",
        ),
        "NUL": (
            '{"train": ["copy", "a\\u0000"], "vary": {}, "seeds": 1}',
            "ones that a command line can hold",
        ),
        "a surrogate": ('{"train": ["copy", "\\ud800"], "vary": {}, "seeds": 1}', "ones that a command line"),
        "a number": ('{"train": ["copy", 5], "vary": {}, "seeds": 1}', "train[1]: Expected str, got int"),
    }.values(),
)
def test_a_sweep_that_lies(text: str, expect: str) -> None:
    Path("sweep").mkdir()
    Path("sweep/sweep.json").write_text(text)
    refused("sweep", "sweep", "--table", expect=expect)


def test_lines_of_metrics_that_lie_are_left_out() -> None:
    Path("sweep/seed=0").mkdir(parents=True)
    Path("sweep/sweep.json").write_text('{"train": ["copy"], "vary": {}, "seeds": 1}')
    write_run(lambda arrays, metadata: None)
    LAST.rename("sweep/seed=0/last.safetensors")
    lines = ['{"iteration": 1, "held_out": 0.5}', '{"iteration": 2, "held_out": NaN}', "[" * 100_000, "5"]
    Path("sweep/seed=0/metrics.jsonl").write_text("\n".join([*lines, '{"iteration": "2"}', "null"]))
    Path("sweep/seed=0/failure.txt").write_text("\x1b[2Jgone")
    (run,) = json.loads(call("sweep", "sweep", "--table", "--json").out)["runs"]
    assert run["held_out"] == 0.5
    assert "\x1b" not in call("sweep", "sweep", "--table").out
