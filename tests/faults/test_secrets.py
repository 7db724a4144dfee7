"""Credentials of a storage are in no message, traceback, log, model or repr, whatever fails."""

from __future__ import annotations

import logging
import traceback
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import FsspecStore

from daskgmm import GaussianMixture, open_zarr
from daskgmm.errors import DaskGMMError, StorageError
from daskgmm.storage import persistence
from daskgmm.storage.dataset import as_row_blocks
from daskgmm.storage.output import OutputRows
from daskgmm.storage.redaction import public_address, redacted, secrets_in
from daskgmm.writing import write_results
from tests.faults.vault import SECRETS, TEXTS, told, vault_url

ROWS = np.random.default_rng(0).normal(size=(2000, 2)) + 5


@pytest.fixture
def rows(tmp_path) -> str:
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(500, 2))
    return vault_url(tmp_path / "rows.zarr")


def refuse(folder: Path, what: str) -> None:
    (folder / f"refuse-{what}").touch()


def whole(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def test_the_vault_opens_with_its_secrets_and_tells_them_otherwise(rows, tmp_path):
    np.testing.assert_array_equal(open_zarr(rows, storage_options=SECRETS).compute(), ROWS)
    refuse(tmp_path, "metadata")
    with pytest.raises(PermissionError) as caught:
        zarr.open(rows, storage_options=SECRETS)
    assert set(told(str(caught.value))) == set(TEXTS)


@pytest.mark.parametrize("what", ["metadata", "listing"])
def test_opening_a_store_that_refuses_tells_no_secret(rows, tmp_path, what):
    refuse(tmp_path, what)
    with pytest.raises(
        StorageError, match=r"rows\.zarr: the store cannot be .*PermissionError: .*refused to"
    ) as caught:
        open_zarr(rows, storage_options=SECRETS)
    assert told(whole(caught.value)) == []


def pause(seconds: tuple[float, ...]) -> None:
    """Set how long this process waits before it asks a store again."""
    persistence.PAUSES = seconds


def ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "PAUSES", (0.0, 0.0))


def test_a_wrong_secret_is_not_told_either(rows):
    guess = uuid.uuid4().hex
    with pytest.raises(StorageError, match="PermissionError") as caught:
        open_zarr(rows, storage_options={**SECRETS, "password": guess})
    assert guess not in whole(caught.value)
    assert told(whole(caught.value)) == []


@pytest.mark.parametrize("what", ["chunks", "metadata"])
def test_reading_from_a_store_that_refuses_tells_no_secret(rows, tmp_path, what, monkeypatch):
    ask_at_once(monkeypatch)
    X = open_zarr(rows, storage_options=SECRETS)
    refuse(tmp_path, what)
    with pytest.raises(StorageError, match=r"rows\.zarr.*refused to") as caught:
        GaussianMixture(2).fit(X)
    assert told(whole(caught.value)) == []


def test_workers_log_no_secret(rows, tmp_path, client, request):
    X = open_zarr(rows, storage_options=SECRETS)
    client.run(pause, (0.0, 0.0))
    request.addfinalizer(lambda: client.run(pause, persistence.PAUSES))
    refuse(tmp_path, "chunks")
    with pytest.raises(StorageError, match="refused to") as caught:
        GaussianMixture(2).fit(X)
    assert told(whole(caught.value)) == []
    logs = str(client.get_worker_logs()) + str(client.get_scheduler_logs())
    # What a task that fails was given is logged, so that there is something to look at.
    assert "refused to" in logs
    assert told(logs) == []


def test_writing_to_a_store_that_refuses_tells_no_secret(rows, tmp_path, client):
    mixture = GaussianMixture(2, random_state=0).fit(ROWS)
    X = open_zarr(rows, storage_options=SECRETS)
    for what in ("chunk-writing", "writing", "listing"):
        (tmp_path / what).mkdir()
        refuse(tmp_path / what, what)
        with pytest.raises(StorageError) as caught:
            write_results(mixture, X, vault_url(tmp_path / what / "labels.zarr"), storage_options=SECRETS)
        assert "refused to" in str(caught.value)
        assert told(whole(caught.value)) == []
    assert told(str(client.get_worker_logs())) == []


def test_reprs_of_what_travels_to_workers_tell_no_secret(rows, tmp_path, monkeypatch):
    # Zarr's arrays and stores show their address; over HTTP, all of it.
    monkeypatch.setattr(FsspecStore, "__str__", lambda store: rows)
    blocks = as_row_blocks(open_zarr(rows, storage_options=SECRETS))
    output = OutputRows(blocks.stored.rows.array, "labels.zarr")
    assert told(repr(output.array))
    assert "rows.zarr" in repr(blocks.stored)
    assert told(repr(blocks) + repr(blocks.stored) + repr(dict(blocks.rows.dask)) + repr(output)) == []


def test_models_histories_and_logs_hold_no_secret(rows, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, "daskgmm"), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        mixture = GaussianMixture(2, random_state=0, verbose=2, verbose_interval=1, max_iter=1)
        mixture.fit(open_zarr(rows, storage_options=SECRETS))
    mixture.save(tmp_path / "model.gmm")
    model = (tmp_path / "model.gmm").read_bytes().decode("latin-1")
    assert told(model + repr(mixture) + str(mixture.history_) + caplog.text + "".join(map(str, seen))) == []


@pytest.mark.parametrize("what", ["nothing", "metadata", "chunks"])
def test_commands_tell_no_secret(rows, tmp_path, invoke, what, caplog):
    refuse(tmp_path, what)
    result = invoke("fit", rows, "-o", tmp_path / "model.gmm", "--components", "2")
    # Without the storage options the password is missing.
    assert result.exit_code == 5
    output = tmp_path / "labels.zarr"
    GaussianMixture(2, random_state=0).fit(ROWS).save(tmp_path / "given.gmm")
    predicted = invoke("predict", tmp_path / "given.gmm", tmp_path / "rows.zarr", "-o", vault_url(output))
    assert predicted.exit_code == 5
    assert told(result.output + predicted.output + caplog.text) == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/rows.zarr", "s3://bucket/rows.zarr"),
        ("https://user:pass@host/rows.zarr", "https://host/rows.zarr"),
        ("https://user:p@ss@host/rows.zarr", "https://host/rows.zarr"),
        ("https://token@host/x", "https://host/x"),
        ("simplecache::https://user:pass@host/x", "simplecache::https://host/x"),
        ("https://host/x?sig=abc&se=2026", "https://host/x?sig=***&se=***"),
        ("/data/a@b.zarr", "/data/a@b.zarr"),
        ("file:///data/a@b.zarr", "file:///data/a@b.zarr"),
    ],
)
def test_addresses_are_shown_without_what_lets_somebody_in(address, shown):
    assert public_address(address) == shown


def test_secrets_are_found_by_the_names_of_options_at_any_depth():
    options = {
        "anon": False,
        "endpoint_url": "http://minio:9000",
        "client_kwargs": {"aws_secret_access_key": "one-secret", "region_name": "eu-west-1"},
        "auth": ("somebody", b"two-secret"),
        "account_key": "a",
        "token": "anon",
    }
    assert secrets_in(options, "https://user:three%20secret@host/x?sig=four-secret") == {
        "one-secret", "somebody", "two-secret", "three%20secret", "three secret", "four-secret",
    }  # fmt: skip


def test_secrets_are_hidden_as_they_are_written_in_urls():
    text = redacted("at http://host/s%25same%20%26%20open and s%same & open", {"s%same & open"})
    assert text == "at http://host/*** and ***"


def test_an_error_that_tells_nothing_keeps_its_cause(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(500, 2))
    (tmp_path / "rows.zarr" / "c" / "2" / "0").write_bytes(b"damaged")
    with pytest.raises(DaskGMMError) as caught:
        open_zarr(tmp_path / "rows.zarr").compute()
    assert caught.value.__cause__ is not None
