from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daskgmm.errors import ModelFormatError, ParameterError, StorageError, StoreNotFoundError
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage import new_file
from daskgmm.storage.model_file import ARRAYS, HEADER, Model, load_model, save_model


def parameters_from(start) -> MixtureParameters:
    return MixtureParameters.from_precisions(
        weights=start["weights_init"],
        means=start["means_init"],
        precisions=start["precisions_init"],
        covariance_type=start["covariance_type"],
    )


MODEL = Model(
    parameters=MixtureParameters.from_covariances(
        weights=[0.25, 0.75],
        means=[[0.1, 0.2], [3.0, 4.0]],
        covariances=[[1.0, 0.3], [0.3, 2.0]],
        covariance_type="tied",
    ),
    settings={"n_components": 2, "tol": np.float64(1e-3), "means_init": np.array([[0.1, 1 / 3]]), "random_state": None},
    fit={"converged": True, "lower_bounds": [-np.inf, -3.25, -1 / 3], "history": [{"pass": 1, "change": np.nan}]},
    feature_names=("tall", "größer"),
)


def same(first: Model, second: Model) -> bool:
    """Whether two models are the same to the last bit."""
    arrays = all(
        getattr(first.parameters, name).tobytes() == getattr(second.parameters, name).tobytes()
        and getattr(first.parameters, name).shape == getattr(second.parameters, name).shape
        for name in ARRAYS
    )
    return (
        arrays
        and first.parameters.covariance_type == second.parameters.covariance_type
        and repr(first.settings) == repr(second.settings)
        and repr(first.fit) == repr(second.fit)
        and first.feature_names == second.feature_names
    )


@pytest.fixture
def path(tmp_path) -> Path:
    save_model(MODEL, tmp_path / "model.gmm")
    return tmp_path / "model.gmm"


def rewritten(path: Path, *, members: dict[str, bytes | None] | None = None, **changes) -> Path:
    """Write the file again with members replaced, removed (None) or added, and changed header entries."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= members or {}
    if changes:
        content[HEADER] = json.dumps({**json.loads(content[HEADER]), **changes}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def header_of(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(HEADER))


def refuse(path: Path, reason: str) -> None:
    with pytest.raises(ModelFormatError, match=reason) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_every_covariance_type_survives_to_the_last_bit(tmp_path, drawn):
    parameters = parameters_from({**drawn.start, "covariance_type": drawn.covariance_type})
    save_model(Model(parameters), tmp_path / "model.gmm")
    loaded = load_model(tmp_path / "model.gmm")
    assert same(loaded, Model(parameters))


def test_settings_and_record_survive(path):
    loaded = load_model(path)
    assert loaded.settings["tol"] == 1e-3
    assert loaded.settings["random_state"] is None
    np.testing.assert_array_equal(loaded.settings["means_init"], [[0.1, 1 / 3]])
    assert loaded.fit["lower_bounds"] == [-np.inf, -3.25, -1 / 3]
    assert np.isnan(loaded.fit["history"][0]["change"])
    assert loaded.feature_names == ("tall", "größer")


def test_names_may_be_absent(tmp_path):
    save_model(Model(MODEL.parameters), tmp_path / "model.gmm")
    assert load_model(tmp_path / "model.gmm").feature_names is None


def test_the_same_model_gives_the_same_bytes(path, tmp_path):
    save_model(MODEL, tmp_path / "again.gmm")
    assert (tmp_path / "again.gmm").read_bytes() == path.read_bytes()


def test_saving_replaces_the_old_file(path):
    save_model(Model(MODEL.parameters), path)
    assert load_model(path).settings == {}
    assert os.listdir(path.parent) == ["model.gmm"]


def test_a_setting_that_cannot_be_saved_leaves_the_old_file(path):
    with pytest.raises(ParameterError, match=r"settings\.kernel: expected"):
        save_model(Model(MODEL.parameters, settings={"kernel": object()}), path)
    assert load_model(path).feature_names == MODEL.feature_names
    assert os.listdir(path.parent) == ["model.gmm"]


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_file.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save_model(Model(MODEL.parameters), path)
    monkeypatch.undo()
    assert load_model(path).feature_names == MODEL.feature_names
    assert os.listdir(path.parent) == ["model.gmm"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreNotFoundError, match=r"absent\.gmm: there is no such model file"):
        load_model(tmp_path / "absent.gmm")


def test_a_file_that_may_not_be_read_is_named(path, monkeypatch):
    def refuse_open(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse_open)
    with pytest.raises(StorageError, match="cannot be read") as caught:
        load_model(path)
    assert not isinstance(caught.value, ModelFormatError)


class Mischief:
    """Unpickling it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_other_files_are_refused(tmp_path):
    contents = {
        "empty": b"",
        "text": b"a model",
        "pickle": pickle.dumps(Mischief(tmp_path / "ran")),
        "npy": b"\x93NUMPY",
        "long": b"\0" * 100_000,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, "expected a model file of daskgmm")
    (tmp_path / "directory").mkdir()
    refuse(tmp_path / "directory", "got a directory")
    assert not (tmp_path / "ran").exists()


def test_other_archives_are_refused(tmp_path):
    np.savez(tmp_path / "arrays.npz", weights=[1.0])
    refuse(tmp_path / "arrays.npz", r"expected the members .* got \['weights.npy'\]")


def test_a_truncated_file_is_refused(path):
    content = path.read_bytes()
    for length in (1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refuse(path, "expected a model file")


def test_members_must_be_those_of_the_format(path):
    refuse(rewritten(path, members={"code.py": b"1"}), "expected the members")
    refuse(rewritten(path, members={"code.py": None, "means.npy": None}), "expected the members")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_must_be_there_once(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(HEADER, b"{}")
    refuse(path, "expected the members")


def test_compressed_members_are_refused(path):
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    refuse(path, "expected an uncompressed member")


def test_members_that_claim_more_than_the_file_are_refused(path):
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # the archive's directory begins with the entry of the header
    content[entry + 20 : entry + 28] = (2**23).to_bytes(4, "little") * 2
    path.write_bytes(content)
    refuse(path, f"at most {len(content)} bytes, the length of the file")


def test_a_newer_version_says_which_can_be_read(path):
    refuse(
        rewritten(path, version=2, package_version="9.0"), r"reads version 1 .*got version 2, written by daskgmm '9.0'"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "other"}, "expected the format"),
        ({"version": True}, "got version True"),
        ({"version": "1"}, "got version '1'"),
        ({"extra": 1}, "expected the keys"),
        ({"covariance_type": 3}, "covariance_type: expected str"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"covariance_type": "full"}, "expected shape"),
        ({"settings": []}, "settings: expected dict"),
        ({"fit": None}, "fit: expected dict"),
        ({"fit": {"$float": "nan"}}, "settings, fit: expected objects"),
        ({"settings": {"$array": {"dtype": "<f8", "shape": [0], "values": []}}}, "settings, fit: expected objects"),
        ({"fit": {"lower_bound": {"$float": "1"}}}, "model file"),
        ({"arrays": {}}, "arrays.weights: expected"),
        ({"feature_names": "ab"}, "feature_names: expected null or a list"),
        ({"feature_names": [1, 2]}, "feature_names: expected null or a list"),
        ({"feature_names": ["a"]}, "expected 2 feature names; got 1"),
    ],
)
def test_a_header_that_contradicts_the_format_is_refused(path, changes, reason):
    refuse(rewritten(path, **changes), reason)


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"format": NaN}', b"\xff\xfe", b"[" * 10**6])
def test_a_header_that_is_no_strict_json_is_refused(path, text):
    refuse(rewritten(path, members={HEADER: text}), "model file")


def test_a_header_that_is_too_long_is_refused(path):
    refuse(rewritten(path, members={HEADER: b" " * (2**24 + 1)}), "at most 16777216 bytes")


def test_a_header_of_too_many_values_is_refused(path):
    refuse(rewritten(path, members={HEADER: b"[" + b"[]," * 2**20 + b"[]]"}), "at most 1048576 values")


@pytest.mark.parametrize("big", ["x" * 2**24, [0] * 2**20], ids=["bytes", "values"])
def test_settings_that_could_not_be_loaded_are_not_saved(path, big):
    with pytest.raises(ParameterError, match="at most 16777216 bytes and 1048576 values"):
        save_model(Model(MODEL.parameters, settings={"means_init": big}), path)
    assert load_model(path).feature_names == MODEL.feature_names


def test_a_number_beyond_the_largest_is_refused(path):
    header = json.dumps(header_of(path)).replace('"tol": 0.001', '"tol": 1e999')
    refuse(rewritten(path, members={HEADER: header.encode()}), "finite numbers; got 1e999")


def test_a_directory_larger_than_ours_is_refused_before_it_is_read(path):
    with zipfile.ZipFile(path, "a") as archive:
        for index in range(2000):
            archive.writestr(f"member-{index}", b"")
    refuse(path, r"expected a directory of 5 members; got one of \d+ bytes")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "model file")


def test_a_device_is_refused():
    refuse(Path("/dev/zero"), "model file")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"dtype": "<f4"}, "expected dtype"),
        ({"dtype": "|O"}, "expected dtype"),
        ({"shape": [2, -2]}, "shape of positive lengths"),
        ({"shape": [True, 4]}, "shape of positive lengths"),
        ({"shape": "22"}, "shape of positive lengths"),
        ({"shape": [1] * 10**5}, "shape of positive lengths"),
        ({"shape": [10**12, 10**12]}, "expected 8000000000000000000000000 bytes"),
        ({"shape": [1, 1, 1]}, "in C order of shape"),
        ({"shape": [4, 1]}, "in C order of shape"),
        ({"sha256": "0"}, "digest"),
        ({"more": 1}, "expected dtype, shape and sha256"),
    ],
)
def test_an_array_other_than_declared_is_refused(path, declared, reason):
    arrays = header_of(path)["arrays"]
    arrays["means"] |= declared
    refuse(rewritten(path, arrays=arrays), reason)


def with_array(path: Path, content: bytes, shape: list[int]) -> Path:
    """Replace the means by other bytes and declare their digest, as somebody who means harm would."""
    arrays = header_of(path)["arrays"]
    arrays["means"] |= {"sha256": hashlib.sha256(content).hexdigest(), "shape": shape}
    return rewritten(path, members={"means.npy": content}, arrays=arrays)


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), **options)
    return buffer.getvalue()


def test_arrays_with_a_right_digest_are_validated_nevertheless(path, tmp_path):
    bait = npy(np.array([[Mischief(tmp_path / "ran")] * 2] * 2, dtype=object), allow_pickle=True)
    refuse(with_array(path, bait.ljust(200, b"\0"), [2, 2]), "means.npy")
    assert not (tmp_path / "ran").exists()
    refuse(with_array(path, npy(np.zeros((2, 2), "<f4")).ljust(170, b"\0"), [2, 2]), "float64 in C order")
    refuse(with_array(path, npy(np.asfortranarray(np.ones((2, 2)))), [2, 2]), "float64 in C order")
    refuse(with_array(path, npy(np.ones((2, 2))) + b"\0", [2, 2]), "float64 in C order")
    refuse(with_array(path, npy(np.ones((2, 2)), version=(2, 0)), [2, 2]), "version 1.0")
    refuse(with_array(path, b"\0" * 200, [2, 2]), "model file")
    refuse(with_array(path, npy(np.full((2, 2), np.nan)), [2, 2]), "means: expected finite numbers")
    refuse(with_array(path, npy(np.ones((3, 2))), [3, 2]), "means: expected shape")


def test_nothing_larger_than_the_file_is_allocated(path):
    arrays = header_of(path)["arrays"]
    arrays["means"]["shape"] = [2**20, 2**20]
    rewritten(path, arrays=arrays)
    program = (
        "import resource, sys\n"
        "from daskgmm.errors import ModelFormatError\n"
        "from daskgmm.storage.model_file import load_model\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "try:\n    load_model(sys.argv[1])\nexcept ModelFormatError as error:\n    sys.exit(str(error))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert "means.npy: expected 8796093022208 bytes" in ended.stderr


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_refused_or_do_no_harm(tmp_path, data):
    path = tmp_path / "model.gmm"
    save_model(MODEL, path)
    original = load_model(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    path.write_bytes(content[:length])
    try:
        loaded = load_model(path)
    except ModelFormatError:
        return
    assert same(loaded, original)


@given(content=st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_refused(tmp_path, content):
    (tmp_path / "model.gmm").write_bytes(content)
    refuse(tmp_path / "model.gmm", "expected a model file")
