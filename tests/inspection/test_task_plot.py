"""Plots of a sample, in the terminal and as a figure."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from numdnc import UserError
from numdnc.inspection import task_plot
from numdnc.inspection.task_plot import plot_text, save_task_plot
from numdnc.tasks import Batch

IN, OUT = ("bit 0", "bit 1", "start"), ("bit 0", "bit 1")


def sample() -> tuple[Batch, Any]:
    """Two sequences; the second shows 10 and 11 and asks for them, with one bit wrong; then a step of padding."""
    inputs, targets = np.zeros((6, 2, 3), np.float32), np.zeros((6, 2, 2), np.float32)
    outputs, mask = np.full((6, 2, 2), 50.0), np.zeros((6, 2), bool)
    inputs[0, 1, 2] = 1
    inputs[1:3, 1, :2] = targets[3:5, 1] = [[1, 0], [1, 1]]
    mask[3:5, 1] = True
    outputs[3:5, 1] = [[50, -50], [0.5, -0.5]]
    return Batch(inputs, targets, True, mask), outputs


BLOCKS = """\
input
bit 0 | ██  |
bit 1 |  █  |
start |█    |

target
bit 0 |···██|
bit 1 |··· █|

output
bit 0 |···█▒|
bit 1 |··· ▒|

error (1 of 4 bits wrong)
bit 0 |···  |
bit 1 |··· x|

' ' 0, ░▒▓ between, █ 1 (or the range that a channel gives); · the loss does not count; x wrong"""


def test_long_names_are_cut() -> None:
    batch, outputs = sample()
    names = tuple(f"{number} {'x' * 5000}" for number in range(3))
    lines = plot_text(batch, outputs, 1, names, names[:2], width=80, encoding="utf-8").splitlines()
    assert max(map(len, lines[:-1])) < 80
    assert lines[1].startswith("0 xxx")


def test_four_panels_without_the_padding() -> None:
    batch, outputs = sample()
    assert plot_text(batch, outputs, 1, IN, OUT, width=80, encoding="utf-8") == BLOCKS


def test_gates_stand_below_at_every_step_of_the_sequence() -> None:
    batch, outputs = sample()
    gates = {"free 0": np.tile([[0.0], [0], [0], [1], [0.5], [1]], 2), "write": np.full((6, 2), [0, 1])}
    lines = plot_text(batch, outputs, 1, IN, OUT, gates, width=80, encoding="utf-8")
    assert "\n\ngates\nfree 0 |   █▒|\n write |█████|\n\n" in lines


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding"])
def test_plain_letters_where_blocks_cannot_be_written(encoding: str) -> None:
    lines = plot_text(*sample(), 1, IN, OUT, width=80, encoding=encoding)
    assert lines == BLOCKS.translate(str.maketrans("░▒▓█·", "-+*#."))
    assert lines.isascii()


def test_the_encoding_is_that_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, outputs = sample()
    monkeypatch.setenv("COLUMNS", "80")
    with mock.patch.object(sys, "stdout") as out:
        out.encoding = "ascii"
        assert plot_text(batch, outputs, 1, IN, OUT).isascii()
        out.encoding = "utf-8"
        assert plot_text(batch, outputs, 1, IN, OUT) == BLOCKS
        out.encoding = None  # text that is kept in memory
        assert plot_text(batch, outputs, 1, IN, OUT) == BLOCKS


@pytest.mark.parametrize("columns", [30, 47])
def test_what_is_wider_than_the_terminal_goes_on_below(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (50, 1, 2)).astype(float)
    monkeypatch.setenv("COLUMNS", str(columns))
    names = ("a", "bit b")
    text = plot_text(Batch(bits, bits), 20 * bits - 10, 0, names, names, encoding="utf-8")
    lines = text.splitlines()
    room = columns - len("bit b ||")
    headings = [line for line in lines if line.startswith("steps ")]
    assert headings[0] == f"steps 0 to {room - 1} of 0 to 49"
    assert headings[-1].endswith(" to 49 of 0 to 49")
    drawn = [line for line in lines if "|" in line]
    assert max(map(len, drawn)) == columns
    channels = [line.split("|")[1] for line in drawn if line.startswith("    a")]
    for panel in (0, 1, 2):  # input, target and output are the same
        assert "".join(channels[panel::4]) == "".join(" █"[int(bit)] for bit in bits[:, 0, 0])


def test_a_narrow_terminal_gets_some_steps_all_the_same() -> None:
    bits = np.ones((12, 1, 1))
    lines = plot_text(Batch(bits, bits), bits, 0, ("a long name",), ("b",), width=5)
    assert "steps 0 to 9 of 0 to 11" in lines


def test_every_step_counts_without_a_mask() -> None:
    batch, outputs = sample()
    lines = plot_text(batch._replace(mask=None), outputs, 1, IN, OUT, encoding="utf-8")
    assert lines.count("·") == 1  # in the legend
    assert "error (9 of 12 bits wrong)" in lines  # all but those of step 3 and one of step 4


def test_classes_are_shown_by_their_probabilities_and_symbols_by_a_channel_each() -> None:
    symbols, classes = np.array([[0, 1], [2, 0], [1, 1]]), np.array([[0, 2], [0, 0], [0, 1]])
    outputs = np.zeros((3, 2, 3))
    outputs[0, 1, 2] = outputs[1, 1, 1] = 30  # right; 1 for 0
    outputs[2, 1] = [0, np.log(2), 0]  # right, by one half
    names = ("A", "B", "C")
    lines = plot_text(Batch(symbols, classes), outputs, 1, names, names, encoding="utf-8").splitlines()
    assert [line for line in lines if "|" in line] == [
        "A | █ |",
        "B |█ █|",
        "C |   |",
        "A | █ |",
        "B |  █|",
        "C |█  |",
        "A |  ░|",
        "B | █▒|",
        "C |█ ░|",
        "A | x |",
        "B | x |",
        "C |   |",
    ]
    assert "error (1 of 3 classes wrong)" in lines


def test_channels_that_leave_0_to_1_say_their_range() -> None:
    inputs = np.array([[-1, 4], [0, 0], [1, 1]], float)[:, None]
    lines = plot_text(
        Batch(inputs, np.ones((3, 1, 1))), np.ones((3, 1, 1)), 0, ("rank", "count"), ("b",), encoding="utf-8"
    ).splitlines()
    assert lines[1:3] == ["rank (-1 to 1) | ▒█|", "count (0 to 4) |█ ░|"]


def test_names_must_fit_the_channels(tmp_path: Path) -> None:
    batch, outputs = sample()
    with pytest.raises(UserError, match="input_channels must name each of the 3 input channels, got 2 names"):
        plot_text(batch, outputs, 1, OUT, OUT)
    with pytest.raises(UserError, match="output_channels must name each of the 2 output channels, got 3"):
        save_task_plot(tmp_path / "a.png", batch, outputs, 1, IN, IN)


def drawn(*arguments: Any) -> Figure:
    """The figure that would be saved."""
    panels = task_plot.task_panels(*arguments)
    figure: Figure = task_plot.draw_panels(panels, Figure)
    return figure


def test_the_figure_shows_what_the_lines_show() -> None:
    batch, outputs = sample()
    figure = drawn(batch, outputs, 1, IN, OUT)
    titles = [axes.get_title(loc="left").split("  ") for axes in figure.axes]
    assert titles == [["input", ""], ["target", ""], ["output", ""], ["error", "(1 of 4 bits wrong)"]]
    names = [[text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes]
    assert names == [list(IN), list(OUT), list(OUT), list(OUT)]
    cells = [axes.images[0].get_array() for axes in figure.axes]
    assert [array.shape for array in cells] == [(3, 5), (2, 5), (2, 5), (2, 5)]
    assert not cells[0].mask.any()
    assert all(array.mask.tolist() == [[True] * 3 + [False] * 2] * 2 for array in cells[1:])
    np.testing.assert_array_equal(cells[0], batch.inputs[:5, 1].T)
    np.testing.assert_allclose(cells[2][:, 4], [0.622459, 0.377541], rtol=1e-5)
    assert cells[3][:, 3:].tolist() == [[0, 0], [0, 1]]
    assert all(axes.get_xlim() == figure.axes[0].get_xlim() for axes in figure.axes)


def test_a_saved_picture_has_red_errors_and_none_where_all_is_right(tmp_path: Path) -> None:
    batch, outputs = sample()
    right = np.where(batch.targets > 0, 50.0, -50.0)
    reds = []
    for name, given in (("wrong.png", outputs), ("right.PNG", right)):
        save_task_plot(tmp_path / name, batch, given, 1, IN, OUT)
        with (tmp_path / name).open("rb") as file:
            pixels = imread(file, format="png")
        red = np.array([int(task_plot.RED[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        reds.append(int((np.abs(pixels[..., :3] - red).max(-1) < 0.01).sum()))
    assert reds[0] > 2 * reds[1] > 0  # the legend has a little red of its own


@pytest.mark.thorough
def test_many_channels_and_names_with_dollars_are_drawn(tmp_path: Path) -> None:
    symbols = np.arange(30)[:, None]
    names = [f"${chr(65 + number)}" for number in range(60)]
    figure = drawn(Batch(symbols, symbols), np.zeros((30, 1, 60)), 0, names, names)
    assert len(figure.axes[0].get_yticklabels()) == 30
    assert figure.get_size_inches()[1] < 17
    save_task_plot(tmp_path / "a.svg", Batch(symbols, symbols), np.zeros((30, 1, 60)), 0, names, names)
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    batch, outputs = sample()
    with pytest.raises(UserError, match="must be writable, got: No such file"):
        save_task_plot(tmp_path / "missing" / "a.png", batch, outputs, 1, IN, OUT)
    with pytest.raises(UserError, match=r"a plot must be named \.png, \.pdf or \.svg, got .*a\.jpg"):
        save_task_plot(tmp_path / "a.jpg", batch, outputs, 1, IN, OUT)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_it_is_said_what_to_install(tmp_path: Path) -> None:
    imports = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imports(name, *arguments, **options)

    with (
        mock.patch.object(builtins, "__import__", without),
        pytest.raises(
            UserError,
            match=r"plot in a file must find the package matplotlib.*-m pip install 'matplotlib<4,>=3.8'`\.",
        ),
    ):
        save_task_plot(tmp_path / "a.png", *sample(), 1, IN, OUT)


def test_matplotlib_is_imported_by_saving_only() -> None:
    code = "import sys, numdnc.inspection.task_plot; print([m for m in sys.modules if m.startswith('matplotlib')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
