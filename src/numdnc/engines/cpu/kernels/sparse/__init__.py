"""Kernels of models with `sparsity`, whose memory is one array that steps change in place."""
