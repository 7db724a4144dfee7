"""Where work runs: the only folder that calls Dask's schedulers."""
