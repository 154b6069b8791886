"""How kernels are compiled.

A kernel is a function of arrays and numbers that Numba turns into machine code for their types. It allocates nothing
and never holds Python's lock. Its array arguments must not overlap where one of them is written: the compiler is told
so, which is what lets it work on many numbers at once. No index is negative, and a slice has no step and begins within
its array: the code that Numba has for all others is left out.

Numba says nothing of `noalias` in its manual, though its compiler flags have it: `_OPTIONS` makes it one to ask for.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from llvmlite.binding import Linkage
from numba import njit, types
from numba._dynfunc import make_function
from numba.core import event
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions
from numba.core.typed_passes import NativeLowering
from numba.cpython import slicing
from numba.np import arrayobj

from numdnc.engines.cpu.cache import KernelCache, cache_folder, why_not_kept

Function = TypeVar("Function", bound=Callable[..., Any])

_LOG = logging.getLogger("numdnc")

CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")

_OPTIONS = {"nogil": True, "error_model": "numpy", "noalias": True, "_nrt": False}
_ANY_ORDER = {"reassoc", "contract", "nsz"}
_AS_WRITTEN = {"contract"}


class _KernelLibrary(JITCodeLibrary):
    """The code of a kernel that only kernels call: it is optimised, and becomes machine code, as a part of an entry.

    Numba would do both for each kernel by itself, and again wherever it is called.
    """

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@contextmanager
def _simple_indices() -> Iterator[None]:
    """Meanwhile Numba makes code for simple indices and slices alone; it compiles on one thread at a time."""

    def fix_integer_index(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        return context.cast(builder, index, kind, types.intp if kind.signed else types.uintp)

    def fix_slice(builder: Any, found: Any, size: Any) -> None:
        """A slice without an end has the largest integer."""
        found.stop = builder.select(builder.icmp_signed("<", found.stop, size), found.stop, size)

    replaced = {
        (arrayobj, "fix_integer_index"): fix_integer_index,
        (slicing, "fix_slice"): fix_slice,
        (slicing, "get_slice_length"): lambda builder, found: builder.sub(found.stop, found.start),
        (slicing, "fix_stride"): lambda builder, found, stride: stride,
    }
    before = {(module, name): getattr(module, name) for module, name in replaced}
    try:
        for (module, name), function in replaced.items():
            setattr(module, name, function)
        yield
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):
    """Lowering with simple indices."""

    _name = "numdnc_entry_lowering"

    def run_pass(self, state: Any) -> bool:
        """Called by Numba with the typed function."""
        with _simple_indices():
            done: bool = super().run_pass(state)
        return done


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(_EntryLowering):
    """The same, to a library of a kernel.

    A kernel with a loop stays a function of its own, unless it is a short one. LLVM knows that the arguments of a
    function do not overlap; of one that is inlined it knows less, and may then take the numbers one by one.
    """

    _name = "numdnc_kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        """Called by Numba with the typed function."""
        context = state.targetctx
        library = state.library = _KernelLibrary(context.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        found = state["cr"]
        description = found.fndesc
        has_loops = compute_cfg_from_blocks(state.func_ir.blocks).loops()
        if has_loops and state.func_id.func not in _SHORT:
            library.get_function(description.mangled_name).add_function_attribute("noinline")
        library.finalize()
        module, name = description.lookup_module(), description.qualname
        never_called = make_function(module, name, "", 0, found.env, (library,))
        context.insert_user_function(never_called, description, [library])
        state["cr"] = found._replace(cfunc=never_called)
        return True


def _lowered_by(lowering: Any, state: Any) -> Any:
    """Numba's steps, with this one for lowering."""
    passes = DefaultPassBuilder.define_nopython_pipeline(state)
    at = [each for each, _ in passes.passes].index(NativeLowering)
    passes.passes[at] = (lowering, "lowering with simple indices")
    passes.finalize()
    return passes


class _KernelCompiler(CompilerBase):
    """Numba's compiler with that lowering."""

    def define_pipelines(self) -> list[Any]:
        """Called by Numba."""
        return [_lowered_by(_KernelLowering, self.state)]


class _EntryLibrary(JITCodeLibrary):
    """The code of an entry and of all kernels it calls, which nothing else calls.

    LLVM is told so, and need not pass a kernel the arguments that it does not use: hundreds, where these are tuples of
    arrays. The kernel has another name here, for its code cannot be called in place of that of the whole kernel, which
    LLVM's loader, going by names, would do.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage == Linkage.linkonce_odr and not function.is_declaration:
                function.linkage = "internal"
                function.name += f".in.{self.name}"
        super()._optimize_final_module()


class _EntryCompiler(CompilerBase):
    """Numba's compiler with such a library."""

    def define_pipelines(self) -> list[Any]:
        """Called by Numba."""
        state = self.state
        state.library = _EntryLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return [_lowered_by(_EntryLowering, state)]


def _for_kernels(function: Function, fastmath: set[str], **options: Any) -> Function:
    options = {**_OPTIONS, **options, "fastmath": fastmath, "pipeline_class": _KernelCompiler}
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


def kernel(function: Function) -> Function:
    """Compile for calls from other kernels. Sums may be taken in any order (the same one for the same sizes)."""
    return _for_kernels(function, _ANY_ORDER)


def short_kernel(function: Function) -> Function:
    """The same for a loop that is so short that a call would be felt; LLVM may inline it."""
    _SHORT.add(function)
    return kernel(function)


def exact_kernel(function: Function) -> Function:
    """The same, with every operation in the order written."""
    return _for_kernels(function, _AS_WRITTEN)


def view_kernel(function: Function) -> Function:
    """The same for a kernel that returns views: LLVM inlines it and drops the views that are not used."""
    return _for_kernels(function, _ANY_ORDER, forceinline=True)


def optimised_kernel(function: Function) -> Function:
    """The same, optimised by itself first: a loop over much memory, which comes out slower as a part of its caller."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=_ANY_ORDER, **_OPTIONS)(function)


def inlined(function: Function) -> Function:
    """Let Numba inline this into the kernels that call it: for parts with one caller."""
    return njit(inline="always")(function)


def entry(function: Function) -> Function:
    """Compile for calls from Python, and cache the machine code on disk."""
    _ENTRIES.add(function)
    return _for_python(function)


def loop_entry(function: Function) -> Function:
    """The same for a loop over arrays, which compiles too soon to be announced."""
    return _for_python(function)


def _for_python(function: Function) -> Function:
    options = {**_OPTIONS, "fastmath": _ANY_ORDER, "pipeline_class": _EntryCompiler}
    compiled = njit(no_cfunc_wrapper=True, **options)(function)
    compiled._cache = KernelCache(function.__name__)
    return compiled


_ENTRIES: set[Any] = set()
_SHORT: set[Any] = set()


class _Compiling(event.Listener):
    """Announces, once, that a kernel is being compiled, which takes half a minute for a DNC.

    Meanwhile no garbage is collected: of what Numba makes almost all stays, and looking through it took a sixth of the
    time. The memory, some 120 MB, is free again afterwards.
    """

    said = False
    collecting = True

    def on_start(self, event: event.Event) -> None:
        """Called by Numba before it compiles anything."""
        if event.data["dispatcher"].py_func not in _ENTRIES:
            return
        self.collecting = gc.isenabled()
        gc.disable()
        if not self.said:
            self.said = True
            hindered = why_not_kept()
            kept = f"once (kept in {cache_folder()})" if hindered is None else f"every time ({hindered})"
            _LOG.warning("engine cpu is compiled for this kind of model: up to half a minute, %s", kept)

    def on_end(self, event: event.Event) -> None:
        """Called by Numba after it has compiled, or failed to."""
        if event.data["dispatcher"].py_func in _ENTRIES and self.collecting:
            gc.enable()


event.register("numba:compile", _Compiling())
