"""`info`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from numdnc import console
from numdnc.cli.options import AsJson, EngineName, ModelOptions
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.formatting import format_bytes
from numdnc.inspection.sizes import MEASURED_STEPS, sizes
from numdnc.models import locate
from numdnc.runs.kinds import load_trained
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import Precision


def show_info(
    folder: Positional[Path | None] = None,
    *,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    inputs: Annotated[int | None, arg(aliases=["-X"])] = None,
    outputs: Annotated[int | None, arg(aliases=["-Y"])] = None,
    precision: Precision | None = None,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Show the sizes of a model: parameters, interface, state, and what training keeps of a step.

    Args:
        folder: A run's folder, a checkpoint or model:NAME, for its model; without one, the model that the other options
            describe.
        inputs: Width of an input vector, or number of symbols (default: 64).
        outputs: Width of an output vector (default: 64).
        precision: float32 or float64 (default: float32).
        engine: The engine whose memory is measured.
        as_json: Print the result as one JSON object.

    """
    spec = model.spec(64 if inputs is None else inputs, 64 if outputs is None else outputs)
    if folder is not None:
        if model != ModelOptions() or (inputs, outputs, precision) != (None, None, None):
            raise UserError("info must be given a folder or the options of a model, got both. Leave one out.")
        if folder.suffix == ".safetensors":
            run = load_trained(folder, finite=False)
        else:
            run = RunFolder(locate(folder)).load_newest(finite=False)
        spec, precision = run.spec, run.training.precision
    precision = precision or "float32"
    chosen = select_engine(engine, spec, precision)
    if chosen.name.partition(":")[0] == "torch":
        raise UserError(
            f"the engine must be one whose tape can be measured, got {chosen.name}: PyTorch keeps its own. "
            "Leave --engine out."
        )
    check_memory(spec, chosen, precision, MEASURED_STEPS, 1)
    found = sizes(spec, chosen, precision)
    if as_json:
        described = {"kind": spec.kind, **dataclasses.asdict(spec)}
        console.say_json(
            {"spec": described, "engine": chosen.name, "precision": precision, **found._asdict()}
        )
        return
    state_bytes = sum(found.state_bytes.values())
    _say_table(f"{spec.kind}, {precision}", dataclasses.asdict(spec))
    shapes = {name: " x ".join(map(str, shape)) for name, shape in found.parameters.items()}
    _say_table(f"{found.parameter_count:,} parameters", shapes)
    if found.interface:
        _say_table(f"{sum(found.interface.values()):,} numbers of interface", found.interface)
    carried = {name: format_bytes(size) for name, size in found.state_bytes.items()}
    _say_table(f"{format_bytes(state_bytes)} carried by a sequence", carried)
    kept = format_bytes(found.step_bytes)
    console.say(f"{kept} kept of each step of a sequence of vectors until backward, by engine {chosen.name}")


def _say_table(title: str, rows: Mapping[str, Any]) -> None:
    console.say(title)
    for name, value in rows.items():
        console.say(f"  {name:<30}{value}")
    console.say()
