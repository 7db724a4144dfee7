"""`daskgmm export`: a mixture for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options import json_option, output_option, overwrite_option

if TYPE_CHECKING:
    from typing import BinaryIO

    from daskgmm.estimator import GaussianMixture

__all__ = ["export"]

FORMATS = ("json", "npz")
ARRAYS = ("weights", "means", "covariances", "precisions", "precisions_cholesky")
"""Of scikit-learn's names and shapes: set with an underscore behind it, they make its estimator predict."""


@click.command(epilog="\b\nExample:\n  daskgmm export profiles.gmm -o profiles.json")
@click.argument("model")
@output_option("File")
@click.option(
    "--format", "file_format", type=click.Choice(FORMATS), help="What to write; the end of the name says it otherwise."
)
@overwrite_option
@json_option
def export(model: str, output: str, file_format: str | None, overwrite: bool, as_json: bool) -> None:
    """Write a mixture for other programs.

    Weights, means, covariances, precisions and their Cholesky factors of the mixture in the file MODEL, as JSON for any
    language, or as npz for NumPy, which `numpy.load` reads without pickle. Names and shapes are scikit-learn's.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.results import deliver
        from daskgmm.estimator import load
        from daskgmm.storage.new_file import check_place, whole_file

        chosen = _chosen_format(output, file_format)
        check_place(output, overwrite=overwrite)
        mixture = load(model)
        with whole_file(output) as file:
            _write_json(mixture, file) if chosen == "json" else _write_npz(mixture, file)
        result = {"output": output, "format": chosen, "n_components": len(mixture.weights_)}
        deliver(result, f"{output}: {len(mixture.weights_)} components as {chosen}", as_json=as_json, summary=None)


def _chosen_format(output: str, file_format: str | None) -> str:
    """Return the format; raises ParameterError if nothing says it, or two things say two."""
    from daskgmm.errors import ParameterError

    ending = Path(output).suffix.lower().removeprefix(".")
    if file_format is None and ending not in FORMATS:
        raise ParameterError(f"{output}: expected a name that ends in .json or .npz, or --format")
    if file_format is not None and ending in FORMATS and ending != file_format:
        raise ParameterError(f"{output}: expected --format {ending}, or another name; got --format {file_format}")
    return file_format or ending


def _write_json(mixture: GaussianMixture, file: BinaryIO) -> None:
    from daskgmm.cli.results import json_text

    names = getattr(mixture, "feature_names_in_", None)
    facts: dict[str, Any] = {
        "n_components": len(mixture.weights_),
        "n_features": mixture.n_features_in_,
        "feature_names": None if names is None else list(names),
        "covariance_type": mixture.covariance_type,
        "lower_bound": mixture.lower_bound_,
        **{name: getattr(mixture, f"{name}_").tolist() for name in ARRAYS},
    }
    file.write(f"{json_text(facts)}\n".encode())


def _write_npz(mixture: GaussianMixture, file: BinaryIO) -> None:
    import numpy as np

    arrays = {name: getattr(mixture, f"{name}_") for name in ARRAYS}
    # Numbers and text alone: nothing that NumPy would pickle.
    np.savez(file, covariance_type=np.array(mixture.covariance_type), **arrays)
