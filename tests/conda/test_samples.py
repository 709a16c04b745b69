"""Records that conda, mamba, micromamba, rattler and pixi really wrote are read; see `samples/README.md`."""

import shutil
from pathlib import Path

import pytest
import rattler

from envcap.environment import CondaRecord
from envcap.lock.conda import is_complete
from envcap.scan.conda_records import read_conda_records
from envcap.scan.files import walk_tree
from envcap.scan.reader import TreeReader

SAMPLES = Path(__file__).parent / "samples"
SITE = "lib/python3.11/site-packages"


def read(folder: Path, *names: str) -> tuple[tuple[CondaRecord, ...], list[str]]:
    """Put samples into a prefix and read it: the records, and the codes of what is odd."""
    (folder / "conda-meta").mkdir(parents=True)
    for name in names:
        shutil.copy(SAMPLES / f"{name}.json", folder / "conda-meta")
    reader = TreeReader(walk_tree(str(folder)))
    records = read_conda_records(reader, site_packages=SITE)
    return records, [finding.code for finding in reader.findings]


def only(folder: Path, name: str) -> CondaRecord:
    records, odd = read(folder, name)
    assert (len(records), odd) == (1, [])
    return records[0]


@pytest.mark.parametrize(
    ("sample", "identity", "origin", "requested", "paths", "complete"),
    [
        ("conda-4.1-zlib", "zlib 1.2.8 3", "pkgs/free osx-64", (), 7, False),
        ("conda-4.1-wheel", "wheel 0.29.0 py35_0", "pkgs/free osx-64", (), 3, False),
        ("conda-4.5-zlib", "zlib 1.2.11 hf3cbc9b_2", "pkgs/main osx-64", (), 3, False),
        ("conda-4.5-nomkl", "nomkl 3.0 0", "pkgs/free osx-64", ("nomkl",), 0, False),
        ("conda-25-libzlib", "libzlib 1.3.1 h8359307_2", "conda-forge osx-arm64", (), 2, True),
        ("rattler-bzip2", "bzip2 1.0.8 h93a5062_5", "conda-forge osx-arm64", (), 4, True),
        ("rattler-libcblas", "libcblas 3.9.0 20_osxarm64_openblas", "conda-forge osx-arm64", (), 1, True),
        ("rattler-libffi", "libffi 3.4.2 h3422bc3_5", "conda-forge osx-arm64", (), 3, True),
        ("pixi-bat", "bat 0.24.0 h3bba108_1", "conda-forge osx-arm64", (), 1, True),
        ("mamba-2-made-up", "madeup 1.0 ha9f2e26_1", "conda-forge linux-64", (), 3, False),
        ("minimal-valid", "valid 1.0 0", "defaults noarch", (), 0, False),
    ],
)
def test_a_real_record_is_read(
    tmp_path: Path,
    sample: str,
    identity: str,
    origin: str,
    requested: tuple[str, ...],
    paths: int,
    complete: bool,  # noqa: FBT001 - parametrized
) -> None:
    found = only(tmp_path, sample)

    assert f"{found.name} {found.version} {found.build}" == identity
    assert f"{found.channel} {found.subdir}" == origin
    assert (found.requested, len(found.paths), is_complete(found)) == (requested, paths, complete)
    assert found.file.startswith(f"{found.name}-{found.version}-{found.build}.")


def test_condas_noarch_rows_are_placed_where_the_files_are(tmp_path: Path) -> None:
    """Its scripts are those of Windows, which are no files of ours."""
    records, odd = read(tmp_path, "conda-22-wheel")

    assert odd == ["conda-record-odd"]
    assert [row.path for row in records[0].paths] == [
        f"{SITE}/wheel-0.38.4-py3.11.egg-info/PKG-INFO",
        f"{SITE}/wheel/__init__.py",
    ]
    assert is_complete(records[0])


def test_windows_paths_are_no_paths(tmp_path: Path) -> None:
    records, odd = read(tmp_path, "micromamba-1-pysocks")

    assert (records[0].name, records[0].paths, odd) == ("pysocks", (), ["conda-record-odd"])


def test_a_corrupt_record_spoils_no_other(tmp_path: Path) -> None:
    records, odd = read(tmp_path, "corrupt-json", "minimal-valid")

    assert [record.name for record in records] == ["valid"]
    assert odd == ["conda-record-unreadable"]


def test_two_records_of_one_name_are_one_package(tmp_path: Path) -> None:
    records, odd = read(tmp_path, "conda-4.1-zlib", "conda-4.5-zlib")

    assert ([record.name for record in records], odd) == (["zlib"], ["conda-record-duplicate"])


@pytest.mark.parametrize("name", ["conda-25-libzlib", "rattler-libffi", "pixi-bat"])
def test_py_rattler_reads_them_alike(tmp_path: Path, name: str) -> None:
    theirs, ours = rattler.PrefixRecord.from_path(SAMPLES / f"{name}.json"), only(tmp_path, name)

    assert (theirs.name.normalized, str(theirs.version), str(theirs.build), theirs.file_name) == (
        (ours.name, ours.version, ours.build, ours.file)
    )
    assert [str(path) for path in theirs.files] == [row.path for row in ours.paths]
