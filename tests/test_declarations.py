"""What is declared once, in model_options.py, parts.py and params.py, and what is written elsewhere say the same."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from numdnc import DNCSpec, NTMSpec, named_leaves, nn, zero_state
from numdnc.cli.options import ModelOptions, attribute_docs
from numdnc.inspection.internals import NTMWeightings, Weightings
from numdnc.inspection.trace import array_shapes
from numdnc.model_options import VARIATIONS, MemoryOptions, NTMOptions
from numdnc.params import DNCState, NTMState
from numdnc.parts import Interface, NTMInterface, declared_parts

NOTATION = (Path(__file__).parents[1] / "docs" / "notation.md").read_text(encoding="utf-8")
OPTIONS = dataclasses.fields(MemoryOptions)
DOCS = attribute_docs(MemoryOptions)
SPECS = {
    "dnc": DNCSpec(input_size=1, output_size=1, write_heads=2),
    "ntm": NTMSpec(input_size=1, output_size=1),
}
KINDS = {"dnc": (Interface, DNCState, Weightings), "ntm": (NTMInterface, NTMState, NTMWeightings)}
"""Named tuples that declare the parts of each kind of model with a memory."""
every_kind = pytest.mark.parametrize(
    ("model", "kind"), [(model, kind) for model, kinds in KINDS.items() for kind in kinds]
)


@pytest.mark.parametrize(
    ("module_type", "options", "option"),
    [
        pytest.param(module, kind, option, id=f"{module.__name__}-{option.name}")
        for module, kind in ((nn.DNC, MemoryOptions), (nn.NTM, NTMOptions))
        for option in dataclasses.fields(kind)
    ],
)
def test_the_module_takes_and_describes_every_option(module_type, options, option):
    parameter = inspect.signature(module_type).parameters[option.name]
    assert parameter.default == option.default
    assert parameter.annotation == option.type
    default = f'"{option.default}"' if isinstance(option.default, str) else option.default
    described = f"{option.name}: {attribute_docs(options)[option.name]} Default: {default}."
    assert described in " ".join(module_type.__doc__.split())
    other = {"controller": "rnn", "second_memory": "own", "sharpness": True, "masking": True}
    value = other.get(option.name, not option.default if isinstance(option.default, bool) else 0.5)
    value = 3 if type(option.default) is int or option.name in ("sparsity", "instruction_slots") else value
    needed = {"mask_floor": {"masking": True}, "recency": {"sparsity": 3}}.get(option.name, {})
    module = module_type(2, 3, 2, **{option.name: value}, **needed)
    assert getattr(module.spec, option.name) == value


def test_the_command_line_has_every_option():
    assert DOCS.keys() == {option.name for option in OPTIONS}
    assert {field.name for field in dataclasses.fields(ModelOptions)} >= DOCS.keys()
    assert {field.name for field in dataclasses.fields(ModelOptions)} >= attribute_docs(NTMOptions).keys()
    for name in VARIATIONS:
        assert getattr(ModelOptions(), name) == getattr(MemoryOptions(), name)


@pytest.mark.parametrize(("interface", "state", "weightings"), KINDS.values(), ids=KINDS)
def test_the_state_and_the_interface_declare_all_their_arrays(interface, state, weightings):
    assert tuple(declared_parts(interface)) == interface._fields
    assert ("controller", *declared_parts(state)) == state._fields
    assert tuple(declared_parts(weightings)) == weightings._fields


@every_kind
def test_flags_are_properties_of_a_spec(model, kind):
    assert all(not part.flag or hasattr(SPECS[model], part.flag) for part in declared_parts(kind).values())


@every_kind
def test_axes_are_those_of_a_spec(model, kind):
    for part in declared_parts(kind).values():
        assert part.shape(SPECS[model].axis_sizes) or not part.axes


@pytest.mark.parametrize("kind", [Interface, DNCState, NTMInterface, NTMState])
def test_the_notation_lists_every_part_with_its_shape(kind):
    for name, part in declared_parts(kind).items():
        shape = f"({', '.join(['B', *part.axes.split()])}{'' if part.axes else ','})"
        shapes = re.findall(rf"^\|[^|]*\|[^|]*`{name}`[^|]*\| *(\([^|]*\))[^|]*\|", NOTATION, re.MULTILINE)
        assert any(found.startswith(shape) for found in shapes), name


def test_the_notation_lists_the_interface_in_order():
    """Each row: where the part begins, its name, its size, its activation, and for a variation its flag."""
    section = NOTATION.partition("## The interface vector, in order")[2].partition("\n## ")[0]
    rows = re.findall(
        r"^\| [^|]+ \| `(\w+)`[^|]*\| ([^|]+) \| (\w+)[^|]*\|(?: `(\w+)` \|)?$", section, re.MULTILINE
    )
    activations = {"identity": "none"}
    assert [(name, size, activation) for name, size, activation, _ in rows] == [
        (name, size_in_words(part.axes), activations.get(part.activation, part.activation))
        for name, part in declared_parts(Interface).items()
    ]
    assert all(declared_parts(Interface)[name].flag == flag for name, _, _, flag in rows if flag)


def test_the_notation_lists_the_state_and_the_variations():
    (row,) = re.findall(r"^\| `DNCState` \| (.*) \|$", NOTATION, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(declared_parts(DNCState))
    introduction = NOTATION.partition("## Axes")[0]
    assert set(re.findall(r"`(\w+)(?:=False)?`", introduction)) >= set(VARIATIONS)


def test_a_model_without_links_has_no_matrix_of_links():
    spec = DNCSpec(input_size=1, output_size=1, memory_size=5, word_size=3, links=False)
    shapes = {name: leaf.shape for name, leaf in named_leaves(zero_state(spec, 2))}
    assert not {"link", "precedence"} & shapes.keys()
    assert all(shape.count(5) < 2 for shape in shapes.values())
    assert "link" not in array_shapes(spec, 4)


def size_in_words(axes):
    """R W for "R W", M R for "R M", V W for "[E] [V] W": the size of one memory."""
    return " ".join(sorted(axis.strip("[]") for axis in axes.split() if axis not in ("[E]", "[P]"))) or "1"
