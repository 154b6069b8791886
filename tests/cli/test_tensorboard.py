"""`--tensorboard`: what TensorBoard reads is what metrics.jsonl holds."""

import sys
from pathlib import Path
from unittest import mock

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.commands import TEXT, done, metrics, on_disk, refused, train

COPY = "copy --hidden 5 -N 4 -W 3 -R 1 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def events(folder: str) -> dict[str, dict[int, float]]:
    """Tag -> iteration -> number, as TensorBoard has them."""
    found = EventAccumulator(f"{folder}/tensorboard")
    found.Reload()
    return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def test_losses_scores_and_health_are_written() -> None:
    done("train", *COPY.split(), "--steps", 12, "--report-every", 4, "--tensorboard", "--out", "run")
    found = events("run")
    lines = metrics(Path("run"))
    wanted = {
        "loss/train": [line["train"] for line in lines],
        "loss/held_out": [line["held_out"] for line in lines],
        "training/learning_rate": [line["learning_rate"] for line in lines],
        "training/gradient_norm": [line["gradient_norm"] for line in lines],
        **{
            f"scores/{name}": [line[name] for line in lines]
            for name in ("loss", "bit_error", "sequence_error")
        },
        **{f"health/{name}": [line["health"][name] for line in lines] for name in lines[0]["health"]},
    }
    assert set(found) == {*wanted, "training/per_second"}
    for tag, numbers in wanted.items():
        assert list(found[tag]) == [4, 8, 12]
        assert list(found[tag].values()) == pytest.approx(numbers, rel=1e-6)  # TensorBoard keeps float32


def test_a_resumed_run_goes_on_where_its_checkpoint_stands() -> None:
    train("run", "--tensorboard", "--steps", 12, "--report-every", 4)
    early = Path("run/last.safetensors").read_bytes()
    done("resume", "run", "--steps", 20, "--sample-every", 0, "--tensorboard")
    assert list(events("run")["loss/train"]) == [4, 8, 12, 16, 20]
    Path("run/last.safetensors").write_bytes(early)  # as if that resume had been killed
    done("resume", "run", "--steps", 16, "--sample-every", 0, "--tensorboard")
    assert list(events("run")["loss/train"]) == [4, 8, 12, 16]


def test_nothing_is_written_unless_asked_for() -> None:
    train("run")
    assert not Path("run/tensorboard").exists()


@pytest.mark.parametrize("task", [["text", "-c", "text.txt"], COPY.split()], ids=["text", "copy"])
def test_a_missing_package_is_said_before_anything_is_done(task: list[str]) -> None:
    missing = mock.patch.dict(sys.modules, {"tensorboard.summary.writer.event_file_writer": None})
    line = (
        "--tensorboard must find the package tensorboard, got none.|-m pip install 'tensorboard<3,>=2.17'`."
    )
    with missing:
        refused("train", *task, "--tensorboard", "--out", "run", expect=line)
    train("run")
    before = on_disk(Path("run"))
    with missing:
        refused("resume", "run", "--steps", 20, "--tensorboard", expect=line)
    assert on_disk(Path("run")) == before
