"""Time one contender at one shape, in a separate process that `ring.py` starts.

    python benchmarks/contenders.py CONTENDER SHAPE SECONDS THREADS JAX_PEER

CONTENDER is one of `CONTENDERS`, or `check` (the engine `cpu` against the definition), or `machine`; SHAPE is a list in
JSON. Prints one JSON object. Each contender gets a shape's symbols and the gradient of the mean cross-entropy by its
own outputs, and computes outputs and the gradients of all parameters; the loss and its gradient are not timed.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np

from numdnc.engines import get_engine
from numdnc.inspection.benchmark import (
    MachineRates,
    PeakMemory,
    Shape,
    make_problem,
    max_relative_error,
    measure_machine,
    process_memory,
    repeat,
    warm_up,
)
from numdnc.reference.losses import softmax_cross_entropy


def cpu_engine(threads):
    from numdnc.engines.cpu import CPUEngine

    return CPUEngine(threads=threads)


def engine_runs(engine):
    """Shape -> a function that runs an engine of this package over it."""

    def prepare(shape):
        given = make_problem(shape)
        d_outputs, d_state = warm_up(engine, given)

        def run():
            _, _, tape = engine.forward(given.spec, given.params, given.symbols, given.state, keep_tape=True)
            engine.backward(given.spec, given.params, tape, d_outputs, d_state)

        return run

    return prepare


def jax_runs(file):
    """JAX, compiled; `file` is `jax_peer.py`, or another with `init_params(key, c)`, `step` and `zero_state`.

    A sparse shape is given to it dense: JAX has no sparse memory here.
    """
    import jax
    import jax.numpy as jnp

    found = importlib.util.spec_from_file_location("peer", file)
    peer = importlib.util.module_from_spec(found)
    found.loader.exec_module(peer)

    def prepare(shape):
        given = make_problem(shape._replace(sparsity=None))
        inputs = jax.nn.one_hot(given.symbols, shape.input_size)
        if hasattr(peer, "forward"):
            params = jax.tree.map(jnp.asarray, given.params)

            def outputs_of(params):
                return peer.forward(given.spec, params, inputs)
        else:
            c = {"input": shape.input_size, "layers": list(shape.hidden_sizes), "output": shape.output_size}
            c |= {"N": shape.memory_size, "W": shape.word_size, "R": shape.read_heads}
            params = peer.init_params(jax.random.PRNGKey(0), c)

            def outputs_of(params):
                blank = peer.zero_state(c, shape.batch, inputs.dtype)
                return jax.lax.scan(lambda state, x: peer.step(params, c, state, x), blank, inputs)[1]

        def told(params, d_outputs):
            outputs = outputs_of(params)
            return (outputs * d_outputs).sum(), outputs

        update = jax.jit(jax.grad(told, has_aux=True))
        zero = jnp.zeros((shape.steps, shape.batch, shape.output_size))
        _, outputs = update(params, zero)
        d_outputs = jnp.asarray(softmax_cross_entropy(np.array(outputs), given.targets)[1])

        def run():
            jax.block_until_ready(update(params, d_outputs))

        return run

    return prepare


def torch_runs():
    """The package `dnc` on PyTorch, with options as close to a shape as possible; `DIFFERS` lists the differences."""
    import dnc
    import torch

    def prepare(shape):
        given = make_problem(shape)
        torch.manual_seed(0)
        size, layers = shape.hidden_sizes[0], len(shape.hidden_sizes)
        if set(shape.hidden_sizes) != {size}:
            raise SystemExit("the layers must be of one size for the package dnc")
        model = dnc.DNC(
            shape.input_size,
            size,
            rnn_type="lstm",
            num_layers=1,
            num_hidden_layers=layers,
            batch_first=False,
            nr_cells=shape.memory_size,
            read_heads=shape.read_heads,
            cell_size=shape.word_size,
            clip=0,
        )
        model.output = torch.nn.Linear(model.nn_output_size, shape.output_size)
        inputs = torch.nn.functional.one_hot(torch.from_numpy(given.symbols), shape.input_size).float()
        blank = torch.zeros(layers, shape.batch, size)

        def forward():
            return model(inputs, ([(blank, blank)], None, None), reset_experience=True)[0]

        _, d_outputs = softmax_cross_entropy(forward().detach().numpy(), given.targets)
        d_outputs = torch.from_numpy(d_outputs)

        def run():
            model.zero_grad(set_to_none=True)
            forward().backward(d_outputs)

        return run

    return prepare


CONTENDERS = {
    "cpu": lambda threads, peer: engine_runs(cpu_engine(threads)),
    "reference": lambda threads, peer: engine_runs(get_engine("reference")),
    "jax": lambda threads, peer: jax_runs(peer),
    "dnc": lambda threads, peer: torch_runs(),
}
"""By name: imports what it needs and gives a function from a shape to a run over it."""

DIFFERS = {
    "cpu": "numdnc, engine cpu, given symbols",
    "reference": "numdnc, engine reference, given symbols",
    "jax": "XLA, jitted, lax.scan, its own differentiation; given one-hot vectors; a dense memory at sparse shapes",
    "dnc": "PyPI dnc 1.1 on PyTorch, eager; given one-hot vectors. It never feeds its reads back to the controller, "
    "stacks layers without skip connections, takes the interface and the output from the top layer alone, and squashes "
    "keys and write vectors: less work than the paper's DNC, most of all with several layers",
}


def timed(name, shape, seconds, threads, peer):
    """Seconds of each run, peak memory during the runs above that in between, and peak of the whole process."""
    try:
        prepare = CONTENDERS[name](threads, peer)
    except ImportError as error:
        return {"missing": str(error)}
    run = prepare(shape)
    run()
    compiling = process_memory("VmHWM")
    memory = PeakMemory()

    def clocked():
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    runs, running = repeat(clocked, seconds), process_memory("VmHWM")
    whole = None if compiling is None or running is None else max(compiling, running)
    return {"seconds": runs, "peak_bytes": memory.peak(), "process_bytes": whole}


def main():
    name, shape, seconds, threads, peer = sys.argv[1:]
    size = Shape(*(tuple(part) if isinstance(part, list) else part for part in json.loads(shape)))
    if name == "machine":
        rates: MachineRates = measure_machine(int(threads), float(seconds))
        found = rates._asdict()
    elif name == "check":
        found = {"error": max_relative_error(cpu_engine(int(threads)), size)}
    else:
        found = timed(name, size, float(seconds), int(threads), Path(peer))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
