"""The engine gpu where there is no GPU: its kernels, compiled for the CPU."""
