"""A lock as a CycloneDX bill of materials, read by the reference library and checked against the official schema."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from envcap.blobs import open_lock
from envcap.errors import BuildError
from envcap.export.cyclonedx import export_cyclonedx
from envcap.export.purl import conda_purl, debian_purl, pypi_purl, release_of
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import (
    Artifact,
    CapturedFile,
    CondaPackage,
    Expected,
    Lockfile,
    Patch,
    Source,
    SystemPackage,
)
from tests.export.wheels import fake, lock_of

LOCKS = sorted(path.parent for path in (Path(__file__).parents[2] / "lockfiles").glob("*/envcap.lock"))
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)

CONDA = CondaPackage(
    name="tool",
    version="1.0",
    build="h1_0",
    channel="pkgs/main",
    subdir="linux-64",
    file="tool-1.0-h1_0.conda",
    size=7,
    sha256="c" * 64,
)
DEB = SystemPackage(
    name="g++",
    version="4:12.2.0-3+b1",
    architecture="amd64",
    platform="linux/amd64",
    source="debian-bookworm-security",
    file="pool/main/g/g.deb",
    size=9,
    sha256="d" * 64,
    because=("base",),
)
SUITE = Source(name="debian-bookworm-security", kind="debian", suite="bookworm-security", url="https://example.org/x")
ALL = replace(
    lock_of(fake("alpha", "1.0+cu118"), fake("mine", "0.1", source="captured", origin="editable")),
    conda=(CONDA,),
    system=(DEB,),
    sources=(SUITE,),
    captured=(CapturedFile(path="etc/a b.cfg", sha256="e" * 64, size=1), CapturedFile(path="link", target="etc")),
)


def text_of(lockfile: Lockfile) -> str:
    return export_cyclonedx(lockfile, platform="linux/amd64").text


def components(lockfile: Lockfile) -> dict[str, dict[str, Any]]:
    return {row["bom-ref"]: row for row in json.loads(text_of(lockfile))["components"]}


def properties(component: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["name"], row["value"]) for row in component["properties"]]


def test_a_lock_of_every_kind_satisfies_the_official_schema() -> None:
    assert VALIDATOR.validate_str(text_of(ALL)) is None


def test_the_validator_refuses_what_the_schema_does_not_know() -> None:
    """The test above can fail."""
    broken = json.loads(text_of(ALL))
    broken["components"][0]["hashes"] = [{"alg": "SHA-256", "content": "not hex"}]
    assert VALIDATOR.validate_str(json.dumps(broken)) is not None


@pytest.mark.parametrize("folder", LOCKS, ids=lambda folder: folder.name)
def test_an_example_lock_is_read_by_the_reference_library(folder: Path) -> None:
    lockfile = open_lock(folder).lockfile
    text = text_of(lockfile)

    assert VALIDATOR.validate_str(text) is None
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined]  # py-serializable adds it

    found = {(row.name, row.version, row.purl.type) for row in bom.components if row.purl}
    assert found == {
        *((row.name, row.version, "pypi") for row in lockfile.packages),
        *((row.name, row.version, "deb") for row in lockfile.system),
    }
    hashes = {one.content for row in bom.components for one in row.hashes}
    assert hashes == {
        *(artifact.sha256 for row in lockfile.packages for artifact in row.artifacts),
        *(row.sha256 for row in lockfile.system),
    }
    assert bom.metadata.component.name == folder.name


def test_each_kind_of_row_is_a_component() -> None:
    assert {ref: row.get("purl") for ref, row in components(ALL).items()} == {
        "conda:tool": "pkg:conda/tool@1.0?build=h1_0&channel=pkgs/main&subdir=linux-64&type=conda",
        "deb:g++:amd64": "pkg:deb/debian/g%2B%2B@4:12.2.0-3%2Bb1?arch=amd64&distro=bookworm",
        "file:etc/a b.cfg": None,
        "interpreter": None,
        "python:alpha@1.0+cu118": "pkg:pypi/alpha@1.0%2Bcu118",
        "python:mine@0.1": None,
    }


def test_components_are_in_the_order_of_their_references() -> None:
    refs = [row["bom-ref"] for row in json.loads(text_of(ALL))["components"]]
    assert refs == sorted(refs)


def test_a_project_of_a_folder_is_not_called_one_of_pypi() -> None:
    for origin, named in (("index", True), ("url", True), ("vcs", True), ("editable", False), ("local", False)):
        assert bool(pypi_purl(fake("a", "1.0", origin=origin))) is named


def test_patched_files_and_commits_are_properties() -> None:
    patches = (Patch(path="lib/a.py", change="edited", sha256="f" * 64), Patch(path="lib/b.py", change="deleted"))
    package = replace(fake("a", "1.0"), proof="cache", commit="abc", uncommitted=2, patches=patches)
    assert properties(components(lock_of(package))["python:a@1.0"]) == [
        ("envcap:proof", "cache"),
        ("envcap:origin", "index"),
        ("envcap:commit", "abc"),
        ("envcap:uncommitted", "2"),
        ("envcap:file", "a-1.0-py3-none-any.whl"),
        ("envcap:patched:edited", "lib/a.py"),
        ("envcap:patched:deleted", "lib/b.py"),
    ]


def test_a_conda_package_that_was_made_has_the_hash_of_what_is_in_the_image() -> None:
    made = replace(
        CONDA, file="tool-1.0-h1_0.tar.bz2", captured="files", made_sha256="9" * 64, made_size=3, build="h1_0"
    )
    row = components(replace(ALL, conda=(made,)))["conda:tool"]
    assert row["hashes"] == [{"alg": "SHA-256", "content": "9" * 64}]
    assert properties(row) == [("envcap:captured", "files"), ("envcap:file", "tool-1.0-h1_0.conda")]
    assert row["purl"].endswith("&type=conda")


def test_the_environment_is_named_by_its_digest_and_image() -> None:
    lockfile = replace(ALL, expected=(Expected(platform="linux/amd64", image_id="sha256:" + "1" * 64),))
    found = json.loads(text_of(lockfile))["metadata"]["component"]
    assert (found["name"], found["version"]) == ("hand", str(environment_digest(lockfile)))
    assert ("envcap:image-id", "sha256:" + "1" * 64) in properties(found)


def test_a_python_of_no_package_system_has_a_name_in_vulnerability_databases() -> None:
    own = components(lock_of(python="3.11.7"))["interpreter"]
    assert own["cpe"] == "cpe:2.3:a:python:python:3.11.7:*:*:*:*:*:*:*"
    lockfile = lock_of(python="3.11.7")
    debian = replace(lockfile, interpreter=replace(lockfile.interpreter, origin="debian"))
    assert "cpe" not in components(debian)["interpreter"]
    assert "cpe" not in components(lock_of(python="3.14.0rc1"))["interpreter"]


def test_no_place_is_named() -> None:
    url = "https://user:secret@files.example.org/a-1.0-py3-none-any.whl"
    direct = fake("a", "1.0", origin="url", source="url", url=url)
    package = replace(direct, url="https://git.example.org/a")
    text = text_of(replace(ALL, packages=(package,)))
    assert "://" not in text
    assert "example.org" not in text
    assert "secret" not in text


def test_the_serial_number_follows_from_the_content() -> None:
    number = json.loads(text_of(ALL))["serialNumber"]
    assert number.startswith("urn:uuid:")
    assert text_of(ALL) == text_of(replace(ALL))
    assert json.loads(text_of(replace(ALL, name="other")))["serialNumber"] != number


def test_another_platform_has_its_own_files() -> None:
    arm = Artifact(platform="linux/arm64", source="pypi", file="a-1.0-cp311-abi3-x.whl", size=1, sha256="7" * 64)
    both = fake("a", "1.0")
    lockfile = lock_of(replace(both, artifacts=(*both.artifacts, arm)))
    found = json.loads(export_cyclonedx(lockfile, platform="linux/arm64").text)["components"]
    assert [row["hashes"][0]["content"] for row in found if row["type"] == "library"] == ["7" * 64]


def test_a_platform_that_the_lock_does_not_cover_is_refused() -> None:
    with pytest.raises(BuildError, match="no artifact for linux/arm64"):
        export_cyclonedx(lock_of(fake("a", "1.0")), platform="linux/arm64")


NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9.+-]{1,9}\Z")
VERSIONS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9.+!~:_-]{0,9}\Z")
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=6)


@given(NAMES, VERSIONS, WORDS)
@settings(max_examples=60)
def test_the_reference_reader_of_package_urls_reads_back_what_was_named(name: str, version: str, word: str) -> None:
    deb = PackageURL.from_string(debian_purl(replace(DEB, name=name, version=version, architecture=word), ""))
    assert (deb.name, deb.version, deb.qualifiers) == (name, version, {"arch": word} if word else {})
    conda = PackageURL.from_string(conda_purl(replace(CONDA, version=version, build=word or "0")))
    assert conda.version == version


@pytest.mark.parametrize(
    ("suite", "release"),
    [("bookworm", "bookworm"), ("bookworm-security", "bookworm"), ("trixie-updates", "trixie"), ("", ""), ("a b", "")],
)
def test_the_release_of_a_suite(suite: str, release: str) -> None:
    assert release_of(suite) == release
