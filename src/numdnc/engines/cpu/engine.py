"""The engine `cpu`: compiled kernels on every core for the recurrence, BLAS for what does not depend on it."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.engines.check import check_backward, check_forward, check_tape, refuse_dtype
from numdnc.engines.cpu import buffers, matmuls
from numdnc.engines.cpu.blas import single_threaded_blas
from numdnc.engines.cpu.compile_ahead import await_compiled, compile_both, compile_meanwhile
from numdnc.engines.cpu.instructions import (
    InstructionTape,
    follow_instructions,
    follow_instructions_backward,
)
from numdnc.engines.cpu.kernels import ntm, sequence
from numdnc.engines.cpu.kernels.sparse import sequence as sparse
from numdnc.engines.cpu.kernels.sparse.types import SparseTape
from numdnc.engines.cpu.kernels.teams import meet
from numdnc.engines.cpu.kernels.types import Controller, ControllerTape, MemoryTape, NTMTape, WorkShare
from numdnc.engines.cpu.layouts import allocate
from numdnc.engines.cpu.packing import pack_controller, pack_interface
from numdnc.engines.cpu.plans import Plan, make_plan
from numdnc.engines.cpu.reverse import ReverseTape, mirror, reverse_spec
from numdnc.engines.cpu.teams import abort_barrier, share_work, useful_threads
from numdnc.engines.cpu.threads import (
    Product,
    available_threads,
    count_threads,
    matmul,
    multiply_part,
    run_in_parallel,
    warn_too_many,
)
from numdnc.errors import UserError
from numdnc.machine import count_processors
from numdnc.params import Affine, Array, DNCParams, Inputs, LayerParams, RecurrentParams, zero_state
from numdnc.spec import DNCSpec, NTMSpec, Spec
from numdnc.tree import map_leaves, zeros_like


class Tape(NamedTuple):
    """What the backward pass needs of a sequence."""

    spec: Spec
    inputs: Inputs
    plan: Plan
    threads: int
    numbers: NDArray[np.int64]  # what kernels are told of the arrays
    controller: Controller
    controller_tape: ControllerTape
    memory_tape: MemoryTape | SparseTape | NTMTape | None
    bypass_mask: Array | None
    reverse: ReverseTape | None
    instructions: InstructionTape | None


class CPUEngine:
    """Computes models by compiled kernels, on several threads.

    threads: how many to use; None for NUMDNC_THREADS, or else every processor this process may use. Where the system
    lets fewer be started, these do the work. together: whether they all work on the same rows (None chooses). Results
    depend on both by rounding, and on nothing else.
    """

    name = "cpu"
    stores_all_links = False
    expands_links = False

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

    def compile(self, spec: Spec, dtype: np.dtype[Any]) -> bool:
        """Compile what forward and backward of this model need into the cache; whether any of it was new."""
        kernels = [_kernels(spec)]
        if spec.bidirectional:
            kernels.append((sequence.recurrent_forward, sequence.recurrent_backward))
        helper = self._allowed_threads() > 1
        new = [compile_both(*pair, dtype, helper=helper) for pair in kernels]
        return any(new)

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
        lengths: NDArray[np.integer] | None = None,
    ) -> tuple[Array, Any, Tape | None]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask, lengths)
        with single_threaded_blas():
            return self._forward(spec, params, inputs, state, keep_tape, bypass_mask, lengths)

    def _forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        keep_tape: bool,
        bypass_mask: Array | None,
        lengths: NDArray[np.integer] | None,
    ) -> tuple[Array, Any, Tape | None]:
        inputs = np.ascontiguousarray(inputs)
        T, B = inputs.shape[:2]
        allowed = self._allowed_threads()
        threads = allowed if self._threads is not None else useful_threads(spec, T, B, allowed)
        plan = make_plan(spec, T, B, params.output.bias.dtype, inputs.ndim == 2, keep_tape, threads)
        numbers, arrays = allocate(plan.tape, plan.dtype)
        memory: Any = None
        if spec.has_memory:
            controller, interface, tape, memory = arrays
            pack_interface(plan, params.interface, interface)
        else:
            controller, tape = arrays
        input_products = pack_controller(spec, plan, params, inputs, controller)
        buffers.store_initial_state(spec, tape, memory, state)
        reverse = None
        if isinstance(spec, DNCSpec) and spec.bidirectional:
            reverse = self._reverse(spec, params, inputs, lengths, keep_tape, threads)
            tape.hidden[1:, :, sum(spec.hidden_sizes) :] = reverse.mirror.turn_values(reverse.tape.hidden[1:])
        scratch_numbers, scratch = buffers.allocate_scratch(spec, plan, state)
        kernel, backward_kernel = _kernels(spec)
        if keep_tape and allowed > 1:
            compile_meanwhile(kernel, backward_kernel, plan.dtype)
        hidden = tape.hidden[1:]
        reads = hidden[..., :0] if memory is None else memory.reads[1:].reshape(T, B, spec.reads_size)
        shown = hidden if bypass_mask is None else np.empty_like(hidden)  # what the output sees of it
        found = matmuls.Outputs(params.output, *_as_rows(shown, reads))
        self._run(
            *(spec, plan, B, threads, kernel, (numbers, scratch_numbers)),
            held=(tape, scratch),
            before=input_products,
            after=found.products if bypass_mask is None else (),
        )
        if bypass_mask is not None:
            np.multiply(hidden, bypass_mask, out=shown)
            matmul(threads, *found.products)
        outputs = found.sum()
        instructions = None
        if spec.instruction_slots is not None:
            outputs, instructions = follow_instructions(params.instructions, outputs)
        after = buffers.final_state(spec, plan.sizes, tape, memory, scratch)
        kept = Tape(
            *(spec, inputs, plan, threads, numbers, controller, tape, memory, bypass_mask, reverse),
            instructions,
        )
        return outputs.reshape(T, B, spec.output_size), after, kept if keep_tape else None

    def _reverse(
        self,
        spec: DNCSpec,
        params: DNCParams,
        inputs: Inputs,
        lengths: NDArray[np.integer] | None,
        keep_tape: bool,
        threads: int,
    ) -> ReverseTape:
        """Run the second direction."""
        (T, B), lstm, turn = inputs.shape[:2], reverse_spec(spec), mirror(inputs, lengths)
        turned = turn.turn(inputs)
        plan = make_plan(lstm, T, B, params.output.bias.dtype, inputs.ndim == 2, keep_tape, threads)
        numbers, (controller, tape) = allocate(plan.tape, plan.dtype)
        layers = RecurrentParams(params.reverse_controller, params.output)
        products = pack_controller(lstm, plan, layers, turned, controller)
        state = zero_state(lstm, B, plan.dtype)
        buffers.store_initial_state(lstm, tape, None, state)
        scratch_numbers, scratch = buffers.allocate_scratch(lstm, plan, state)
        told = numbers, scratch_numbers
        forward = sequence.recurrent_forward
        self._run(lstm, plan, B, threads, forward, told, held=(tape, scratch), before=products)
        return ReverseTape(lstm, turn, turned, plan, numbers, controller, tape)

    def _reverse_backward(
        self, params: DNCParams, tape: ReverseTape, d_hidden: Array, threads: int
    ) -> tuple[tuple[LayerParams, ...], Array | None]:
        """Gradients of its parameters and inputs, from that of its hidden values (T, B, H)."""
        B = d_hidden.shape[1]
        blank = zero_state(tape.spec, B, tape.plan.dtype)
        numbers, gradient, _ = buffers.allocate_gradients(tape.spec, tape.plan, None, blank)
        gradient.hidden_out[:] = tape.mirror.turn_values(d_hidden)
        kernel = sequence.recurrent_backward
        await_compiled(kernel, tape.plan.dtype)
        told = tape.numbers, numbers
        weights = matmuls.WeightGradients(
            tape.spec, params.reverse_controller, tape.inputs, tape.controller, tape.tape, gradient
        )
        self._run(
            *(tape.spec, tape.plan, B, threads, kernel, told),
            held=(tape.tape, gradient),
            after=weights.products,
        )
        d_layers, d_inputs = weights.all()
        return d_layers, None if d_inputs is None else tape.mirror.turn_values(d_inputs)

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
        numbers, controller_gradient, memory_gradient = buffers.allocate_gradients(
            spec, tape.plan, memory, d_state
        )
        d_hidden = controller_gradient.hidden_out
        reads = d_reads = saved.hidden[1:, :, :0]
        if memory is not None and memory_gradient is not None:
            reads, d_reads = memory.reads[1:], memory_gradient.reads_out
            reads, d_reads = (each.reshape(T, B, spec.reads_size) for each in (reads, d_reads))
        hidden = _bypass(saved, tape.bypass_mask)
        d_instructions: Any = ()
        if tape.instructions is not None:
            d_instructions, d_told = follow_instructions_backward(tape.instructions, *_as_rows(d_outputs))
            d_outputs = d_told.reshape(T, B, d_told.shape[1])
        d_output, output_products = matmuls.outputs_backward(
            params.output, *_as_rows(hidden, reads, d_outputs, d_hidden, d_reads)
        )
        if tape.bypass_mask is not None:
            matmul(threads, *output_products)
            d_hidden *= tape.bypass_mask
            output_products = []
        weights = matmuls.WeightGradients(
            spec, params.controller, tape.inputs, tape.controller, saved, controller_gradient
        )
        weight_products, d_weights = weights.products, None
        if memory_gradient is not None:
            d_weights = np.empty_like(params.interface.weights)
            seen, d_xi = _as_rows(saved.hidden[1:], memory_gradient.interface)
            weight_products = [(d_weights, seen.T, d_xi), *weight_products]
        _, kernel = _kernels(spec)
        await_compiled(kernel, tape.plan.dtype)
        self._run(
            *(spec, tape.plan, B, threads, kernel, (tape.numbers, numbers)),
            held=(saved, controller_gradient),
            before=output_products,
            after=weight_products,
        )
        d_layers, d_inputs = weights.all()
        d_before = buffers.initial_state_gradient(spec, sizes, controller_gradient, memory, memory_gradient)
        if T == 0:  # nothing was cut, so that nothing is lost
            d_before = map_leaves(np.array, d_state)
        if memory_gradient is None or memory is None or d_weights is None:
            return RecurrentParams(d_layers, d_output), d_inputs, d_before
        d_bias, d_gain = matmuls.bias_and_gain(
            params.interface.gain,
            memory_gradient.interface,
            memory_gradient.interface_out,
            memory.step.interface_standard[:T],
        )
        d_interface = Affine(d_weights, d_bias, d_gain)
        d_reverse: tuple[LayerParams, ...] = ()
        if tape.reverse is not None:
            own = slice(
                len(d_weights) // 2, None
            )  # of the second direction, whose hidden values come after the others
            through_xi = np.empty_like(d_hidden[..., own])
            (d_xi,) = _as_rows(memory_gradient.interface)
            matmul(threads, (*_as_rows(through_xi), d_xi, params.interface.weights[own].T))
            d_reverse, d_more = self._reverse_backward(
                params, tape.reverse, d_hidden[..., own] + through_xi, threads
            )
            if d_inputs is not None and d_more is not None:
                d_inputs += d_more
        d_initial = zeros_like(params.initial)
        d_params = DNCParams(d_layers, d_interface, d_output, d_initial, d_reverse, d_instructions)
        return d_params, d_inputs, d_before

    def _allowed_threads(self) -> int:
        """The number asked for, or what NUMDNC_THREADS and the machine allow."""
        return self._threads if self._threads is not None else count_threads()

    def _run(
        self,
        spec: Spec,
        plan: Plan,
        batch: int,
        threads: int,
        kernel: Any,
        numbers: tuple[NDArray[np.int64], ...],
        held: Any,
        before: Sequence[Product] = (),
        after: Sequence[Product] = (),
    ) -> None:
        """Compute some products, call the kernel and compute others, on every thread its share of each.

        All of it at one go, since threads are slow to wake. `numbers` say where the kernel's arrays are, and `held` are
        tuples of them: their memory must not be freed while a thread is at work, even if another one has failed and
        this call has ended.
        """
        shares = share_work(spec, batch, available_threads(threads), plan.dtype.itemsize, self._together)
        told, count = np.concatenate((plan.numbers, *numbers)), len(shares)

        def compute(share: WorkShare, held: Any) -> None:
            multiply_part(before, share.thread, count)
            if before and count > 1:
                meet(share.barrier, count)
            kernel(told, np.array(share[:-1], np.int64), share.barrier, plan.like)
            if after and count > 1:
                meet(share.barrier, count)
            multiply_part(after, share.thread, count)

        run_in_parallel(
            [partial(compute, share, held) for share in shares], on_failure=partial(abort_barrier, shares)
        )


def _kernels(spec: Spec) -> tuple[Any, Any]:
    """The kernels of a model, forward and backward."""
    if isinstance(spec, NTMSpec):
        return ntm.ntm_forward, ntm.ntm_backward
    if spec.sparsity is not None:
        return sparse.sparse_forward, sparse.sparse_backward
    if spec.has_memory:
        return sequence.dnc_forward, sequence.dnc_backward
    return sequence.recurrent_forward, sequence.recurrent_backward


def _bypass(tape: ControllerTape, mask: Array | None) -> Array:
    """The hidden values of every step (T, B, H) as the output receives them."""
    hidden: Array = tape.hidden[1:]
    return hidden if mask is None else hidden * mask


def _as_rows(*arrays: Array) -> list[Array]:
    """Reshape (T, B, ..) to (T B, ..)."""
    return [array.reshape(math.prod(array.shape[:2]), math.prod(array.shape[2:])) for array in arrays]


ENGINE = CPUEngine()
