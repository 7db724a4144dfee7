"""The mathematics of Gaussian mixtures: NumPy and SciPy only, no Dask, no files, no logging."""
