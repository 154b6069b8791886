"""The engine `cpu`: the recurrence by compiled kernels on every core, all that does not wait for it by BLAS."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from numdnc.engines.check import check_backward, check_forward, check_tape, refuse_dtype
from numdnc.engines.cpu import buffers, matmuls
from numdnc.engines.cpu.blas import single_threaded_blas
from numdnc.engines.cpu.kernels import sequence
from numdnc.engines.cpu.kernels.types import Controller, ControllerTape, InterfaceParams, MemoryTape
from numdnc.engines.cpu.packing import pack_controller, pack_interface
from numdnc.engines.cpu.plans import Plan, make_plan
from numdnc.engines.cpu.teams import abort_barrier, share_work, useful_threads
from numdnc.engines.cpu.threads import available_threads, count_threads, run_in_parallel, warn_too_many
from numdnc.errors import UserError
from numdnc.machine import count_processors
from numdnc.params import Affine, Array, DNCParams, Inputs, RecurrentParams
from numdnc.spec import Spec
from numdnc.tree import zeros_like


class Tape(NamedTuple):
    """What the backward pass needs of a sequence."""

    spec: Spec
    inputs: Inputs
    plan: Plan
    threads: int
    controller: Controller
    interface: InterfaceParams | None
    controller_tape: ControllerTape
    memory_tape: MemoryTape | None
    bypass_mask: Array | None


class CPUEngine:
    """As fast as a processor allows.

    threads: how many to use; None for NUMDNC_THREADS, or else every processor this process may use. Where the system
    lets fewer be started, these do the work. together: whether they all work on the same rows (None chooses). Results
    depend on both by rounding, and on nothing else.
    """

    name = "cpu"
    stores_all_links = False

    def __init__(self, threads: int | None = None, together: bool | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be at least 1, got {threads}.")
        if threads is not None and threads > (processors := count_processors()):
            warn_too_many("threads", threads, processors, "they will wait for each other, perhaps for long")
        self._threads = threads
        self._together = together

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Every model, in float32 and float64."""
        return refuse_dtype(dtype)

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
    ) -> tuple[Array, Any, Tape | None]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask)
        with single_threaded_blas():
            return self._forward(spec, params, inputs, state, keep_tape, bypass_mask)

    def _forward(
        self, spec: Spec, params: Any, inputs: Inputs, state: Any, keep_tape: bool, bypass_mask: Array | None
    ) -> tuple[Array, Any, Tape | None]:
        inputs = np.ascontiguousarray(inputs)
        T, B = inputs.shape[:2]
        threads = self._threads_for(spec, T, B)
        plan = make_plan(spec, T, B, params.output.bias.dtype, inputs.ndim == 2, keep_tape, threads)
        controller, tape, *rest = buffers.allocate(plan.tape, plan.dtype)
        interface, memory = rest or (None, None)  # those only a DNC has
        controller = pack_controller(spec, plan, params, inputs, controller, threads)
        buffers.store_initial_state(spec, tape, memory, state)
        scratch = buffers.allocate_scratch(plan, state)
        if memory is not None:
            interface = pack_interface(plan, params.interface, interface)
            given = (plan.sizes, controller, interface, tape, memory, scratch)
            self._run(spec, B, threads, sequence.dnc_forward, *given)
            reads = memory.reads
        else:
            reads = np.empty((T + 1, B, 0), plan.dtype)
            alone = (plan.sizes, controller, tape, reads, scratch.products)
            self._run(spec, B, threads, sequence.recurrent_forward, *alone)
        hidden = _bypass(tape, bypass_mask)
        outputs = matmuls.outputs(threads, params.output, *_as_rows(hidden, reads[1:]))
        after = buffers.final_state(spec, plan.sizes, tape, memory, scratch.link)
        kept = Tape(spec, inputs, plan, threads, controller, interface, tape, memory, bypass_mask)
        return outputs.reshape(T, B, spec.output_size), after, kept if keep_tape else None

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        check_tape(self.name, Tape, spec, tape)
        T, B = tape.inputs.shape[:2]
        check_backward(spec, params, T, B, d_outputs, d_state)
        with single_threaded_blas():
            return self._backward(spec, params, tape, d_outputs, d_state)

    def _backward(
        self, spec: Spec, params: Any, tape: Tape, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        (T, B), threads, sizes = tape.inputs.shape[:2], tape.threads, tape.plan.sizes
        saved, memory = tape.controller_tape, tape.memory_tape
        by_controller, by_memory = buffers.allocate_gradients(spec, tape.plan, d_state)
        d_hidden = by_controller.hidden_out
        reads = saved.hidden[1:, :, :0] if memory is None else memory.reads[1:]
        d_reads = reads if by_memory is None else by_memory.reads_out
        hidden = _bypass(saved, tape.bypass_mask)
        d_output = matmuls.outputs_backward(
            threads, params.output, *_as_rows(hidden, reads, d_outputs, d_hidden, d_reads)
        )
        if tape.bypass_mask is not None:
            d_hidden *= tape.bypass_mask
        if by_memory is not None:
            given = (sizes, tape.controller, tape.interface, saved, memory, by_controller, by_memory)
            self._run(spec, B, threads, sequence.dnc_backward, *given)
        else:
            alone = (sizes, tape.controller, saved, by_controller)
            self._run(spec, B, threads, sequence.recurrent_backward, *alone)
        d_weights, product = None, None
        if by_memory is not None:
            d_weights = np.empty_like(params.interface.weights)
            seen, d_xi = _as_rows(saved.hidden[1:], by_memory.interface)
            product = (d_weights, seen.T, d_xi)
        d_layers, d_inputs = matmuls.weight_gradients(
            threads, spec, params.controller, tape.inputs, tape.controller, saved, by_controller, product
        )
        d_before = buffers.initial_state_gradient(spec, sizes, by_controller, by_memory)
        if by_memory is None or memory is None or d_weights is None:
            return RecurrentParams(d_layers, d_output), d_inputs, d_before
        d_bias, d_gain = matmuls.bias_and_gain(
            params.interface.gain, by_memory.interface, by_memory.interface_out, memory.interface_standard[:T]
        )
        d_interface = Affine(d_weights, d_bias, d_gain)
        return DNCParams(d_layers, d_interface, d_output, zeros_like(params.initial)), d_inputs, d_before

    def _threads_for(self, spec: Spec, steps: int, batch: int) -> int:
        """As many as were asked for, as long as there is work for them."""
        if self._threads is not None:
            return self._threads
        return useful_threads(spec, steps, batch, count_threads())

    def _run(self, spec: Spec, batch: int, threads: int, kernel: Any, *given: Any) -> None:
        """Call the kernel on every thread, each with its share of the work."""
        shares = share_work(spec, batch, available_threads(threads), given[1].bias.itemsize, self._together)
        run_in_parallel(
            [partial(kernel, *given, share) for share in shares], on_failure=partial(abort_barrier, shares)
        )


def _bypass(tape: ControllerTape, mask: Array | None) -> Array:
    """The hidden values of every step (T, B, H) as the output sees them."""
    hidden: Array = tape.hidden[1:]
    return hidden if mask is None else hidden * mask


def _as_rows(*arrays: Array) -> list[Array]:
    """(T, B, ..) as (T B, ..)."""
    return [array.reshape(math.prod(array.shape[:2]), math.prod(array.shape[2:])) for array in arrays]


ENGINE = CPUEngine()
