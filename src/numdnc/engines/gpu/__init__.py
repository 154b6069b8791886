"""The engine `gpu`: a DNC in one launch for a whole sequence, forward or backward, on a GPU of NVIDIA.

`cuda` has the engine; kernels/sequence.cu is where the kernels begin. Only `compiling` and `cuda` need the extra `gpu`.
"""
