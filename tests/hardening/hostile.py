"""Files of runs as a stranger could make them: damaged ones, and well-formed ones that say anything at all.

A case is a kind of file and a number, which settles it. Every reader must end in a UserError or in a right load, within
bounded memory and time: `attempt` says which of the two it was, and lets everything else through.
"""

import copy
import io
import json
import re
import resource
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save

from helpers.commands import call, error_line
from numdnc import UserError, files, nn
from numdnc.files import digest
from numdnc.inspection import trace_file
from numdnc.inspection.viewer.export import page
from numdnc.models import FOLDER, WEIGHTS
from numdnc.nn import files as nn_files
from numdnc.runs.kinds import open_run
from numdnc.training import checkpoint
from numdnc.training.checkpoint import load_run
from numdnc.training.folder import RunFolder, parse_metrics_line
from numdnc.training.sweep_folder import SweepFolder
from numdnc.tree import named_leaves

TODAY = Path(__file__).parents[1] / "checkpoints" / "format-4"
ROOM = 1 << 30
"""Bytes that reading a file of some 10 kB may take, far more than it needs and far less than it could claim."""
PATIENCE = 120
"""Seconds for a case, which takes milliseconds."""
DEEP = "@@DEEP@@"
"""Stands for JSON nested 100,000 deep."""
STRANGE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 2**31, 10**9, 10**18, 2**63, 10**400, 0.5, 1e300, -1e300),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "a",
        "\0",
        "../../x",
        "/etc/passwd",
        "\x1b[2J",
        "\u202e",
    ),
    *("a" * 10_000, "lstm", "torch:nowhere", "nothing:Task", "é", "𝄞"),
    *([], [0], [1, 2], [[]], ["a"], list(range(100_000)), {}, {"a": 1}, {"": {}}, DEEP),
)
"""What a value may be replaced by."""


def raw_damage(rng: np.random.Generator, whole: bytes) -> bytes:
    """The file with some bits flipped, cut short, or with pieces moved, doubled or taken out."""
    contents = bytearray(whole)
    kind = rng.integers(6)
    a, b = sorted(int(at) for at in rng.integers(len(whole), size=2))
    length = int(rng.integers(1, 64))
    if kind <= 1:
        for at in rng.integers(len(whole), size=int(rng.integers(1, 9))):
            contents[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del contents[a:]
    elif kind == 3:
        contents[a : a + length] = contents[b : b + length]
    elif kind == 4:
        contents[a:a] = rng.bytes(length)
    else:
        del contents[a : a + length]
    return bytes(contents)


def strange_json(rng: np.random.Generator, value: Any) -> Any:
    """The value with one or two parts replaced, taken out, renamed or swapped, at any depth."""
    value = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = places[int(rng.integers(len(places)))]
        kind = rng.integers(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        elif kind == 2:
            other, place = places[int(rng.integers(len(places)))]
            holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
        else:
            alike = [entry for entry in STRANGE if type(entry) is type(holder[key])]
            choice = alike if alike and kind % 2 else STRANGE
            holder[key] = copy.deepcopy(choice[int(rng.integers(len(choice)))])
    return value


def strange_arrays(rng: np.random.Generator, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays with one of another type, shape or contents, missing or besides."""
    arrays = dict(arrays)
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    array = arrays[name]
    changes: list[Callable[[], Any]] = [
        lambda: array.astype(rng.choice(["f2", "f8", "i4", "i8", "u1", "?", "c8"])),
        lambda: array[..., :0],
        lambda: array.reshape(-1),
        lambda: np.zeros((0, 2**40), array.dtype),
        lambda: np.full_like(array, rng.choice([np.nan, np.inf, 3e38]) if array.dtype.kind == "f" else -1),
        lambda: np.zeros((), array.dtype),
    ]
    if rng.random() < 0.2:
        arrays.pop(name)
    elif rng.random() < 0.1:
        arrays[f"{name}.more"] = array
    else:
        with np.errstate(all="ignore"):
            arrays[name] = np.ascontiguousarray(changes[int(rng.integers(len(changes)))]())
    return arrays


def signed(kind: files.FileKind, arrays: dict[str, Any], metadata: Any, version: int | None = None) -> bytes:
    """A file of arrays with a right checksum, whatever it says."""
    text = json.dumps(metadata).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    number = kind.version if version is None else version
    checksum = digest(text, arrays, files._under_checksum(kind, number))
    return save(arrays, metadata={kind.versions: str(number), "json": text, "sha256": checksum})


def signed_module(contents: dict[str, Any]) -> bytes:
    """A .pt with a right checksum, where one can be had."""
    plain = {name: value for name, value in contents.items() if name not in ("state_dict", "sha256")}
    try:
        plain |= {"sha256": nn_files._digest(plain, contents["state_dict"])}
    except (KeyError, AttributeError, TypeError, RuntimeError):
        plain |= {"sha256": ""}
    file = io.BytesIO()
    torch.save({**plain, "state_dict": contents.get("state_dict")}, file)
    return file.getvalue()


class Kind:
    """A kind of file: how a case of it is made, and how it is read."""

    def __init__(self, name: str, make: Callable[[np.random.Generator], bytes], read: Callable[[Path], Any]):
        self.name, self._make, self._read = name, make, read

    def attempt(self, number: int, path: Path) -> bool:
        """Whether this case was read; False where a UserError refused it."""
        path.write_bytes(self._make(np.random.default_rng([number, len(self.name)])))
        with bounded():
            try:
                self._read(path)
            except UserError as error:
                assert str(error)
                return False
            return True


@contextmanager
def bounded() -> Iterator[None]:
    """Less room than a claim of gigabytes would take, and a limit of time."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {PATIENCE} s")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as what holds it and its name there."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _of_arrays(kind: files.FileKind, file: Path) -> Callable[[np.random.Generator], bytes]:
    arrays, metadata = files.load_arrays(file, kind)
    whole = signed(kind, arrays, metadata)

    def make(rng: np.random.Generator) -> bytes:
        way = rng.random()
        if way < 0.3:
            return raw_damage(rng, whole if rng.random() < 0.5 else file.read_bytes())
        if way < 0.5:
            return signed(kind, strange_arrays(rng, arrays), metadata)
        version = int(rng.integers(0, 9)) if rng.random() < 0.05 else None
        return signed(kind, arrays, strange_json(rng, metadata), version)

    return make


def _module(rng: np.random.Generator) -> bytes:
    contents = torch.load(TODAY / "model.pt", weights_only=True) | {"version": nn_files.VERSION}
    if rng.random() < 0.4:
        return raw_damage(rng, signed_module(contents))
    if rng.random() < 0.4:
        contents["origin"] = json.dumps(strange_json(rng, json.loads(contents["origin"])))
        contents["origin"] = contents["origin"].replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    elif rng.random() < 0.7:
        plain = {name: value for name, value in contents.items() if name != "state_dict"}
        contents = strange_json(rng, plain) | {"state_dict": contents["state_dict"]}
    else:
        weights = dict(contents["state_dict"])
        name = sorted(weights)[int(rng.integers(len(weights)))]
        tensor = weights[name]
        changes: list[Callable[[], Any]] = [
            lambda: tensor.half(),
            lambda: tensor.double(),
            lambda: tensor.new_zeros(1).expand(10**9),
            lambda: tensor.T if tensor.ndim == 2 else tensor[:0],
            lambda: torch.full_like(tensor, float("nan")),
            lambda: tensor.long(),
            lambda: tensor.to_sparse(),
            lambda: None,
            lambda: [tensor],
        ]
        weights[name] = changes[int(rng.integers(len(changes)))]()
        contents["state_dict"] = weights
    return signed_module(contents)


def _lines(file: Path) -> Callable[[np.random.Generator], bytes]:
    whole = file.read_bytes()

    def make(rng: np.random.Generator) -> bytes:
        if rng.random() < 0.4:
            return raw_damage(rng, whole)
        lines = whole.splitlines() if file.suffix == ".jsonl" else [whole]
        strange = [json.dumps(strange_json(rng, json.loads(line))) for line in lines]
        return "\n".join(strange).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000).encode()

    return make


def _read_run(path: Path) -> None:
    run = load_run(path)
    assert all(np.isfinite(leaf).all() for _, leaf in named_leaves(run.params))
    assert {name for name, _ in named_leaves(run.params, "params")} <= load_file(path).keys()
    assert run.engine.name
    opened = open_run(run)
    if opened.kind == "episodes":
        opened.task.move_to(run.position)
        opened.task.example(2)
    else:
        opened.vocabulary.encode(opened.vocabulary.symbols)


def _command(path: Path) -> None:
    """What a command makes of a folder of such files, as its user sees it."""
    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    for name in ("last", "best"):
        (folder / f"{name}.safetensors").write_bytes(path.read_bytes())
    (folder / "metrics.jsonl").write_bytes(b"")
    number = zlib.crc32(path.read_bytes()) % len(_COMMANDS)
    words = [word.format(folder) for word in _COMMANDS[number].split()]
    result = call(*words)
    assert result.code in (0, 2), result
    assert "Traceback" not in result.err, result
    if words[0] != "diagnose":  # which says that a loss is NaN
        assert not re.search(r"\bnan\b", result.out.lower()), result
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", result.out + result.err), result
    if result.code:
        raise UserError(error_line(result))


_COMMANDS = (
    "eval {} --engine reference --json",
    "eval {} --engine reference --show",
    "trace {} --engine reference",
    "view {} --no-open",
    "diagnose {} --engine reference",
    "resume {} --engine reference --steps 5",
    "info {} --engine reference",
    "sample {} --engine reference",
    "ask {} question --graph graph.csv",
)


def _read_module(path: Path) -> None:
    module = nn.load(path)
    module(torch.zeros(2, 1, module.spec.input_size))
    if module.origin is not None:
        nn_files.run_from(module, module.origin)


def _read_sweep(path: Path) -> None:
    path.replace(path.with_name("sweep.json"))
    assert SweepFolder(path.parent).load().runs


def _read_metrics(path: Path) -> None:
    path.replace(path.with_name("metrics.jsonl"))
    reports = [parse_metrics_line(line) for line in RunFolder(path.parent).report_lines()]
    if None in reports:
        raise UserError("a line is left out")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("command", _of_arrays(checkpoint._kind(), TODAY / "copy.safetensors"), _command),
        Kind("copy checkpoint", _of_arrays(checkpoint._kind(), TODAY / "copy.safetensors"), _read_run),
        Kind("text checkpoint.", _of_arrays(checkpoint._kind(), TODAY / "text.safetensors"), _read_run),
        Kind("model", _of_arrays(checkpoint._kind(), FOLDER / "copy" / WEIGHTS), _read_run),
        Kind(
            "trace",
            _of_arrays(trace_file._kind(), TODAY / "trace.safetensors"),
            lambda path: page(trace_file.load_trace(path)),
        ),
        Kind("module", _module, _read_module),
        Kind("sweep.json", _lines(TODAY / "sweep.json"), _read_sweep),
        Kind("metrics.jsonl", _lines(TODAY / "metrics.jsonl"), _read_metrics),
    )
}
