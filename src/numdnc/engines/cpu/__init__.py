"""The engine `cpu`. Python calls BLAS and the kernels (engine.py); the equations are in kernels/."""

from numdnc.engines.cpu.engine import ENGINE, CPUEngine

__all__ = ["ENGINE", "CPUEngine"]
