"""The formats that need nothing but the lock, from the command line: a bill of materials and a Dockerfile."""

import json
from hashlib import sha256

import pytest

from envcap.blobs import LOCK_NAME
from tests.flow import Flow

FILES = {"cyclonedx": "cyclonedx.json", "dockerfile": "Dockerfile"}


@pytest.mark.parametrize("form", FILES)
def test_an_export_is_the_same_each_time_and_asks_nobody(locked: Flow, form: str) -> None:
    first, second = (locked.run("export", locked.lock, "--format", form, "--offline") for _ in range(2))
    assert (first.status, first.out) == (0, second.out)
    assert not {str(locked.root), str(locked.home)} & {word.strip("\"',") for word in first.out.split()}
    assert str(locked.root) not in first.out


def test_a_bill_of_materials_names_what_is_installed(locked: Flow) -> None:
    document = json.loads(locked.run("export", locked.lock, "--format", "cyclonedx").out)
    purls = [row["purl"] for row in document["components"] if row.get("purl", "").startswith("pkg:pypi")]
    assert purls == ["pkg:pypi/alpha@1.0", "pkg:pypi/beta@2.1", "pkg:pypi/gamma@0.3"]
    assert document["metadata"]["component"]["name"] == "small"


def test_a_snapshot_writes_both_with_the_bytes_that_the_dockerfile_needs(flow: Flow) -> None:
    edited = flow.site_packages / "beta.py"
    edited.write_text("VALUE = 3\n")

    taken = flow.snapshot("--export", "cyclonedx", "--export", "dockerfile")

    assert taken.status == 0, taken.err
    name = sha256(edited.read_bytes()).hexdigest()
    assert {LOCK_NAME, *FILES.values(), "files"} <= {path.name for path in flow.lock.iterdir()}
    assert (flow.lock / "files" / name).read_text() == "VALUE = 3\n"
    assert f"/envcap/files/{name} /opt/env/" in (flow.lock / "Dockerfile").read_text()
    assert "envcap:patched:edited" in (flow.lock / "cyclonedx.json").read_text()


def test_a_folder_of_kept_bytes_that_is_a_symlink_is_refused(flow: Flow) -> None:
    (flow.site_packages / "beta.py").write_text("VALUE = 3\n")
    assert flow.snapshot().status == 0
    elsewhere = flow.root / "elsewhere"
    elsewhere.mkdir()
    (flow.root / "out").mkdir()
    (flow.root / "out" / "files").symlink_to(elsewhere)

    answer = flow.run("export", flow.lock, "--format", "dockerfile", "--output", flow.root / "out" / "Dockerfile")

    assert answer.status == 1
    assert "is a symlink (expected a folder)" in answer.err
    assert list(elsewhere.iterdir()) == []
    assert not (flow.root / "out" / "Dockerfile").exists()
