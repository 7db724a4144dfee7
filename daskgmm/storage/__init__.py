"""The outside world: Zarr and arrays become row blocks, models become files, predictions become Zarr."""
