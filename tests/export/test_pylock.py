"""A lock as pylock.toml."""

import tomllib
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.version import Version

from envcap.errors import BuildError, MissingArtifactError
from envcap.export.pylock import export_pylock
from envcap.export.result import Export, KeptWheel
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Artifact, Lockfile, Package, Patch
from tests.export.wheels import fake, lock_of
from tests.lockfile.strategies import names, sha256s

VERSIONS = ["1.0", "2.1.0+cu118", "1!2.0", "3.0rc1", "1.0.post1.dev2"]


def on_index(artifact: Artifact) -> str:
    return f"https://files.example.org/{artifact.sha256}/{artifact.file}"


def with_secrets(artifact: Artifact) -> str:
    return f"https://user:secret@files.example.org/{artifact.file}?token=secret#sha256=x"


def nowhere(artifact: Artifact) -> str:
    raise MissingArtifactError(f"No index has {artifact.file}")


def export(lockfile: Lockfile) -> Export:
    return export_pylock(lockfile, platform="linux/amd64", locate=on_index)


def test_the_text_of_a_small_lock() -> None:
    patched = replace(fake("b", "2.0", digit="b"), patches=(Patch(path="x", change="deleted"),))
    lockfile = lock_of(fake("a-c", "1.0"), patched, python="3.11.7")
    assert (
        export(lockfile).text
        == f"""\
lock-version = "1.0"
environments = [
    "implementation_name == \\"cpython\\" and platform_machine == \\"x86_64\\" and sys_platform == \\"linux\\"",
]
requires-python = "==3.11.*"
created-by = "envcap"

[[packages]]
name = "a-c"
version = "1.0"

[[packages.wheels]]
name = "a_c-1.0-py3-none-any.whl"
url = "https://files.example.org/{"a" * 64}/a_c-1.0-py3-none-any.whl"
size = 10

[packages.wheels.hashes]
sha256 = "{"a" * 64}"

[[packages]]
name = "b"
version = "2.0"

[[packages.wheels]]
name = "b-2.0-py3-none-any.whl"
url = "https://files.example.org/{"b" * 64}/b-2.0-py3-none-any.whl"
size = 10

[packages.wheels.hashes]
sha256 = "{"b" * 64}"

[tool.envcap]
lock = "hand"
digest = "{environment_digest(lockfile)}"
patched = [
    "b",
]
"""
    )


@given(st.dictionaries(names(), st.tuples(st.sampled_from(VERSIONS), sha256s()), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_lock_parses_back_to_its_names_versions_and_hashes(rows: dict[str, tuple[str, str]]) -> None:
    packages = []
    for name, (version, sha256) in rows.items():
        row = fake(name, version)
        packages.append(replace(row, artifacts=(replace(row.artifacts[0], sha256=sha256),)))
    pylock = Pylock.from_dict(tomllib.loads(export(lock_of(*packages)).text))
    assert [
        (package.name, package.version, wheel.hashes, wheel.size)
        for package in pylock.packages
        for wheel in package.wheels or []
    ] == [(name, Version(version), {"sha256": sha256}, 10) for name, (version, sha256) in sorted(rows.items())]


def test_urls_lose_their_secrets() -> None:
    text = export_pylock(lock_of(fake("a", "1.0")), platform="linux/amd64", locate=with_secrets).text
    assert "secret" not in text
    assert 'url = "https://files.example.org/a-1.0-py3-none-any.whl"' in text


def test_a_url_with_a_token_in_its_path_is_named() -> None:
    token = "AbCd1234EfGh5678"
    result = export_pylock(
        lock_of(fake("a", "1.0")),
        platform="linux/amd64",
        locate=lambda artifact: f"https://files.example.org/{token}/{artifact.file}",
    )
    assert token not in result.text
    assert [row.code for row in result.findings] == ["export-secret"]


def test_a_file_of_a_local_index_keeps_its_path() -> None:
    token_like = "file:///srv/AbCd1234EfGh5678/my%20wheels/a-1.0-py3-none-any.whl"
    result = export_pylock(lock_of(fake("a", "1.0")), platform="linux/amd64", locate=lambda _: f"{token_like}#sha256=x")
    assert f'url = "{token_like}"' in result.text
    assert result.findings == ()


def test_what_no_index_has_is_left_out_and_named() -> None:
    result = export_pylock(lock_of(fake("a", "1.0")), platform="linux/amd64", locate=nowhere)
    assert tomllib.loads(result.text)["packages"] == []
    assert [row.message for row in result.findings] == [
        "a 1.0 is not in the export: No index has a-1.0-py3-none-any.whl"
    ]


def captured() -> Package:
    return fake("a", "1.0", source="captured", origin="editable")


def wheels_of(result: Export) -> list[dict[str, object]]:
    return [wheel for package in tomllib.loads(result.text)["packages"] for wheel in package["wheels"]]


def test_a_captured_wheel_is_a_blob_with_its_name() -> None:
    blobs = PurePosixPath("blobs/sha256")
    result = export_pylock(lock_of(captured()), platform="linux/amd64", locate=nowhere, blobs=blobs)
    assert wheels_of(result) == [
        {
            "name": "a-1.0-py3-none-any.whl",
            "path": f"blobs/sha256/{'a' * 64}",
            "size": 10,
            "hashes": {"sha256": "a" * 64},
        }
    ]
    assert result.wheels == ()
    assert result.findings == ()


def test_a_captured_wheel_lies_in_the_folder_of_wheels_where_there_is_one() -> None:
    result = export_pylock(
        lock_of(captured()),
        platform="linux/amd64",
        locate=nowhere,
        blobs=PurePosixPath("blobs/sha256"),
        wheels=PurePosixPath("wheels"),
    )
    assert [wheel["path"] for wheel in wheels_of(result)] == ["wheels/a-1.0-py3-none-any.whl"]
    assert result.wheels == (KeptWheel(path="wheels/a-1.0-py3-none-any.whl", sha256="a" * 64),)


def test_a_captured_wheel_without_a_folder_is_left_out_and_named() -> None:
    result = export_pylock(lock_of(captured()), platform="linux/amd64", locate=on_index)
    assert tomllib.loads(result.text)["packages"] == []
    assert [row.code for row in result.findings] == ["export-left-out"]


@pytest.mark.parametrize("origin", ["vcs", "editable", "local"])
def test_vcs_editable_and_local_projects_are_exported_as_their_captured_wheel(origin: str) -> None:
    row = replace(captured(), origin=origin, commit="0" * 40, url="https://example.org/repo")
    result = export_pylock(lock_of(row), platform="linux/amd64", locate=nowhere, wheels=PurePosixPath("wheels"))
    (package,) = Pylock.from_dict(tomllib.loads(result.text)).packages
    assert (package.vcs, package.directory, package.archive) == (None, None, None)
    assert [wheel.path for wheel in package.wheels or []] == ["wheels/a-1.0-py3-none-any.whl"]


def test_a_direct_url_stays_one() -> None:
    url = "https://example.org/a-1.0-py3-none-any.whl"
    result = export_pylock(
        lock_of(fake("a", "1.0", origin="url", url=url, source="url")), platform="linux/amd64", locate=nowhere
    )
    (package,) = Pylock.from_dict(tomllib.loads(result.text)).packages
    assert package.archive is not None
    assert (package.archive.url, package.archive.size, package.archive.hashes) == (url, 10, {"sha256": "a" * 64})


def test_a_source_archive_is_one() -> None:
    result = export(lock_of(fake("a", "1.0", file="a-1.0.tar.gz")))
    (package,) = Pylock.from_dict(tomllib.loads(result.text)).packages
    assert package.sdist is not None
    assert package.sdist.name == "a-1.0.tar.gz"


def test_the_environment_is_the_captured_one() -> None:
    arm = replace(fake("a", "1.0").artifacts[0], platform="linux/arm64")
    lockfile = lock_of(replace(fake("a", "1.0"), artifacts=(arm,)), python="3.14.0rc2")
    pylock = Pylock.from_dict(tomllib.loads(export_pylock(lockfile, platform="linux/arm64", locate=on_index).text))
    assert str(pylock.requires_python) == "==3.14.*"
    assert [str(marker) for marker in pylock.environments or []] == [
        'implementation_name == "cpython" and platform_machine == "aarch64" and sys_platform == "linux"'
    ]


def test_an_unknown_platform_is_refused() -> None:
    with pytest.raises(BuildError, match=r"Unexpected platform 'linux/386'"):
        export_pylock(lock_of(), platform="linux/386", locate=on_index)
