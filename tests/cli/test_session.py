"""What a failure tells the caller: one line on standard error and an exit code."""

from __future__ import annotations

import logging
import warnings

import pytest

from daskgmm import errors
from daskgmm.cli.session import command_session, exit_code

EXPECTED = {
    errors.ParameterError: 2,
    errors.OutputExistsError: 2,
    errors.QualityGateError: 3,
    errors.InputDataError: 4,
    errors.InputTypeError: 4,
    errors.DegenerateMixtureError: 4,
    errors.ModelFormatError: 4,
    errors.NoDistributionError: 4,
    errors.StoreNotFoundError: 4,
    errors.MissingChunksError: 4,
    errors.StoreChangedError: 4,
    errors.OutputDiffersError: 4,
    errors.MemoryLimitError: 4,
    errors.ChunkReadError: 4,
    errors.CheckpointError: 4,
    errors.StorageError: 5,
    errors.ClusterError: 5,
    errors.SchedulerLostError: 5,
    errors.OutputInUseError: 6,
}


@pytest.mark.parametrize(("kind", "code"), EXPECTED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_error_has_its_exit_code(kind, code):
    assert exit_code(kind("what happened")) == code


def test_a_bad_row_is_bad_input():
    assert exit_code(errors.RowError("holds NaN", block=1, row=2)) == 4


def test_every_error_of_the_package_is_listed_here():
    assert {getattr(errors, name) for name in errors.__all__} - set(EXPECTED) == {errors.DaskGMMError, errors.RowError}


def test_a_failure_is_one_line_on_standard_error(capsys):
    with pytest.raises(SystemExit) as ended, command_session():
        raise errors.InputDataError("expected rows;\n  got none")
    assert ended.value.code == 4
    captured = capsys.readouterr()
    assert captured.err == "daskgmm: error: expected rows; got none\n"
    assert captured.out == ""


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), command_session():
        raise ZeroDivisionError


def test_a_warning_is_logged_as_one_line(caplog):
    with command_session():
        warnings.simplefilter("always")
        warnings.warn("EM did not converge", UserWarning, stacklevel=1)
    assert [record.getMessage() for record in caplog.records] == ["EM did not converge"]


def test_the_level_of_the_log_is_what_it_was():
    log = logging.getLogger("daskgmm")
    before = log.level
    with command_session():
        assert log.isEnabledFor(logging.INFO)
    assert log.level == before
