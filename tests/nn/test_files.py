"""Runs exported to torch files and back, and modules loaded from a run's folder."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn.utils import parametrizations, prune

import numdnc.runs.kinds as runs
from helpers.commands import (
    TEXT,
    call,
    done,
    error_line,
    finish,
    on_disk,
    program,
    refused,
    train,
    train_copy,
)
from numdnc import UserError, initial_state, nn
from numdnc.training.folder import RunFolder
from numdnc.training.run import forward_with
from numdnc.tree import leaves, named_leaves


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def outputs_of(run: Any, inputs: Any, engine: Any = None) -> Any:
    """What the run's own engine says."""
    return forward_with(engine or run.engine, run.spec, run.params)(inputs, None)[0]


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("model", ["rnn", "lstm", "dnc"])
def test_a_run_of_any_engine_is_a_module(model: str, engine: str) -> None:
    train("run", "--engine", engine, model=model)
    printed = done("export", "run", "--to", "torch")
    assert "model.pt" in printed
    run = RunFolder(Path("run")).load_best()
    symbols = np.random.default_rng(0).integers(run.spec.input_size, size=(9, 2))
    wanted = outputs_of(run, symbols)
    for module in (nn.load("run/model.pt"), nn.from_run("run")):
        assert module.spec == run.spec
        assert_allclose(module(torch.from_numpy(symbols))[0].detach().numpy(), wanted, rtol=0, atol=1e-5)


def test_the_file_is_plain_torch() -> None:
    train_copy("run", "--masking", "--learned-state", "--precision", "float64")
    done("export", "run", "--to", "torch", "--out", "there.pt")
    contents = torch.load("there.pt", weights_only=True)
    run = RunFolder(Path("run")).load_best()
    assert contents["spec"]["kind"] == "dnc"
    assert contents["spec"]["masking"] is True
    params = dict(named_leaves(run.params))
    assert contents["state_dict"].keys() == params.keys()
    for name, weights in contents["state_dict"].items():
        assert_array_equal(weights.numpy(), params[name], strict=True)
    assert nn.load("there.pt").params().output.bias.dtype == torch.float64
    assert nn.load("there.pt", dtype=torch.float32).params().output.bias.dtype == torch.float32


def test_best_or_last() -> None:
    train("run", model="lstm")
    place = RunFolder(Path("run"))
    best = place.load_best()
    best.params.output.bias[:] = 7
    place.save_best(best)
    assert (nn.from_run("run").output.bias == 7).all()
    assert not (nn.from_run("run", last=True).output.bias == 7).any()
    done("export", "run", "--to", "torch", "--last")
    assert not (nn.load("run/model.pt").output.bias == 7).any()


def test_options_of_the_module() -> None:
    train("run", model="lstm")
    module = nn.from_run("run", batch_first=True, engine="torch")
    assert (module.batch_first, module.engine) == (True, "torch")
    nn.save(module, "m.pt")
    assert (nn.load("m.pt").batch_first, nn.load("m.pt").engine) == (True, "auto")
    assert not nn.load("m.pt", batch_first=False).batch_first


def trained_in_torch(module: Any, task: Any, updates: int) -> None:
    """A user's own loop."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(updates):
        batch = task.next_batch()
        inputs, targets, mask = map(torch.as_tensor, (batch.inputs, batch.targets, batch.mask))
        outputs, _ = module(inputs)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs[mask], targets[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_there_and_back() -> None:
    train_copy("run", "--learned-state")
    module = nn.from_run("run")
    task = runs.load_run("run", last=True).task
    trained_in_torch(module, task, 5)
    nn.save(module, "model.pt")
    printed = done("export", "model.pt", "--to", "run", "--out", "back")
    assert "the optimizer starts anew" in printed

    back = RunFolder(Path("back")).load_last()
    for (name, leaf), mine in zip(named_leaves(back.params), leaves(module.params()), strict=True):
        assert_array_equal(leaf, mine.detach().numpy(), err_msg=name)
    assert back.iteration == 0
    assert not any(leaf.any() for leaf in leaves(back.moments))
    start = leaves(initial_state(back.spec, back.params, 4))
    assert all(map(np.array_equal, leaves(back.state), start))
    assert back.task == RunFolder(Path("run")).load_last().task
    assert back.position == RunFolder(Path("run")).load_best().position

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        with torch.no_grad():
            output, after = module(torch.from_numpy(inputs), state)
        return output.numpy(), after

    scores = task.score(forward, whole=True)
    said = json.loads(done("eval", "back", "--json"))
    assert said["loss"] == pytest.approx(scores["loss"], abs=1e-5)
    assert said["bit_error"] == scores["bit_error"]
    assert "steps" in done("trace", "back")
    done("resume", "back", "--steps", 9, "--sample-every", 0)
    assert RunFolder(Path("back")).load_last().iteration == 9


def test_a_text_goes_there_and_back_too() -> None:
    train("run", model="dnc")
    done("export", "run", "--to", "torch")
    done("export", "run/model.pt", "--to", "run")
    (folder,) = Path("runs").iterdir()
    assert folder.name == "text-dnc-1"
    assert json.loads(done("eval", folder, "--json"))["held_out_bpc"] == pytest.approx(
        json.loads(done("eval", "run", "--json"))["held_out_bpc"]
    )
    done("resume", folder, "--steps", 8, "--sample-every", 0)


def test_a_model_that_came_from_no_run() -> None:
    train_copy("run")
    task = runs.load_run("run", last=True).task
    module = nn.LSTM(task.input_size, 4, task.output_size, dtype=torch.bfloat16)
    nn.save(module, "model.pt")
    refused(
        "export",
        "model.pt",
        "--to",
        "run",
        expect="model.pt must say what run it came from|Give such a run with --like",
    )
    done("export", "model.pt", "--to", "run", "--out", "back", "--like", "run")
    back = RunFolder(Path("back")).load_last()
    assert (back.spec.kind, back.training.precision, back.task["name"]) == ("lstm", "float32", "copy")
    assert_array_equal(back.params.output.weights, module.output.weights.detach().float().numpy())
    done("eval", "back")
    nn.save(nn.LSTM(9, 4, 9), "model.pt")
    refused(
        "export",
        "model.pt",
        "--to",
        "run",
        "--like",
        "run",
        expect="must have the 5 inputs and 3 outputs|got 9 and 9",
    )


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return Path("evil").touch, ()


def test_files_that_cannot_be_used(place: Path) -> None:
    train("run", model="rnn")
    done("export", "run", "--to", "torch", "--out", "model.pt")
    whole = Path("model.pt").read_bytes()

    def fails(expect: str) -> None:
        refused("export", "file.pt", "--to", "run", "--out", "back", expect=expect)
        with pytest.raises(UserError):
            nn.load("file.pt")

    fails("a model of numdnc.nn must exist at file.pt, got none. Check the file's name.")
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        Path("file.pt").write_bytes(whole[:length])
        fails("file.pt must be a model of numdnc.nn, got a file that torch cannot read")
    for contents in (b"text", Path("run/last.safetensors").read_bytes(), pickle.dumps(Evil())):
        Path("file.pt").write_bytes(contents)
        fails("file.pt must be a model of numdnc.nn, got")
    for other in ([1, 2], {"state_dict": {}}, Evil()):
        torch.save(other, "file.pt")
        fails("file.pt must be a model of numdnc.nn, got")
    assert not Path("evil").exists()
    contents = torch.load("model.pt", weights_only=True)
    torch.save(contents | {"version": 4}, "file.pt")
    fails("must have version 3 or older, got 4. Update numdnc.")
    del contents["state_dict"]["output.bias"]
    torch.save(contents, "file.pt")
    fails("that this version knows, got something else (its checksum is not that of its contents)")
    Path("file.pt").unlink()
    Path("file.pt").mkdir()
    fails("got a file that torch cannot read")


def weight_normed(module: Any) -> Any:
    return parametrizations.weight_norm(module.output, "weights") and module


def pruned(module: Any) -> Any:
    return prune.l1_unstructured(module.output, "weights", 2) and module


class WithALayer(nn.LSTM):
    def __init__(self) -> None:
        super().__init__(2, 3, 2)
        self.answer = torch.nn.Linear(2, 2)


def in_two_dtypes(module: Any) -> Any:
    module.output.double()
    return module


def with_nan(module: Any) -> Any:
    torch.nn.init.constant_(module.output.bias, torch.nan)
    return module


UNSAVED: dict[str, Any] = {
    "weight norm": (
        lambda: weight_normed(nn.RNN(2, 3, 2)),
        "a rnn and no others, got something else (no output.weights, also output.parametrizations.weights.original0",
    ),
    "pruned": (lambda: pruned(nn.RNN(2, 3, 2)), "also output.weights_orig, also output.weights_mask). Undo"),
    "a subclass with a layer": (
        WithALayer,
        "(also answer.weight, also answer.bias)",
    ),
    "a model around it": (
        lambda: torch.nn.Sequential(nn.RNN(2, 3, 2)),
        "save must be given an RNN, LSTM, DNC or NTM of numdnc.nn, got a Sequential. Save the one inside",
    ),
    "two dtypes": (
        lambda: in_two_dtypes(nn.RNN(2, 3, 2)),
        "(dtypes torch.float32 and torch.float64)",
    ),
    "complex": (lambda: nn.RNN(2, 3, 2).to(torch.complex64), "output.bias is no plain tensor of numbers"),
    "NaN": (lambda: with_nan(nn.RNN(2, 3, 2)), "must be finite, got NaN or infinity in output.bias"),
    "no numbers": (
        lambda: nn.RNN(2, 3, 2, device="meta"),
        "controller.0.weights is no plain tensor of numbers",
    ),
}


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("case", UNSAVED)
def test_what_could_not_be_loaded_is_not_saved(case: str) -> None:
    make, expect = UNSAVED[case]
    Path("model.pt").write_text("kept")
    with pytest.raises(UserError) as raised:
        nn.save(make(), "model.pt")
    assert expect in str(raised.value)
    assert Path("model.pt").read_text() == "kept"


def test_a_file_with_other_parameters_is_refused_by_their_names() -> None:
    """As an older numdnc wrote them, without a checksum."""
    nn.save(nn.RNN(2, 3, 2), "model.pt")
    contents = torch.load("model.pt", weights_only=True) | {"version": 1}
    del contents["sha256"]
    contents["state_dict"] |= {"output.gain": torch.ones(2), "output.bias": torch.ones(7)}
    torch.save(contents, "model.pt")
    with pytest.raises(UserError, match=r"\(also output.gain, output.bias is \(7,\), not \(2,\)\)"):
        nn.load("model.pt")


def test_sizes_of_numpy_are_saved_as_plain_numbers() -> None:
    one = np.int64(3)
    nn.save(nn.DNC(one, one, one, memory_size=one, word_size=one, batch_first=np.True_), "model.pt")
    assert nn.load("model.pt").spec == nn.DNC(3, 3, 3, memory_size=3, word_size=3).spec
    assert nn.load("model.pt").batch_first is True


def test_a_flipped_bit_is_noticed_or_changes_nothing_but_numbers() -> None:
    """torch keeps a checksum of each entry; what it does not read may be anything."""
    nn.save(nn.RNN(2, 3, 2, seed=0), "model.pt")
    whole, rng = Path("model.pt").read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        Path("file.pt").write_bytes(damaged)
        try:
            assert nn.load("file.pt").spec == nn.load("model.pt").spec
        except UserError:
            continue


WRONG = {
    "export nowhere --to torch": "nowhere must be the folder of a run",
    "export run --to torch --like run": "--like must be given with --to run",
    "export run --to torch --out run/best.safetensors": "--out must not be a checkpoint of the run",
    "export run --to torch --out no/such/folder/m.pt": "must be writable, got: No such file or directory",
    "export model.pt --to run --last": "--last must be given with --to torch",
    "export model.pt --to run --out run": "run must not hold a run yet, got one",
    "export run --to run": "got a file that torch cannot read",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_exported(words: str) -> None:
    train("run", model="rnn")
    done("export", "run", "--to", "torch", "--out", "model.pt")
    refused(*words.split(), expect=WRONG[words])


NO_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def test_without_torch_it_says_what_to_install(place: Path) -> None:
    train("run", model="rnn")
    before = on_disk(place)
    line = error_line(finish(program("export", "run", "--to", "torch", before=NO_TORCH)))
    assert "numdnc.nn must find the package torch, got none. Install it by `" in line
    assert on_disk(place) == before
    assert finish(program("eval", "run", "--engine", "reference", before=NO_TORCH)).code == 0


def test_what_it_is_made_into_must_be_said() -> None:
    result = call("export", "run")
    assert (result.code, result.out) == (2, "")
    assert "--to" in result.err
