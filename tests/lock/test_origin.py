"""Where a package came from, in one line."""

import pytest

from envcap.lock.origin import origin_line
from envcap.lockfile.model import CAPTURED, Artifact, Package, SourceArchive

COMMIT = "1a2b3c4d" * 5


def package(**fields: object) -> Package:
    artifact = Artifact(
        platform="linux/amd64", source=CAPTURED, file="mylib-0.3-py3-none-any.whl", size=1, sha256="a" * 64
    )
    return Package(name="mylib", version="0.3", artifacts=(artifact,), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, ""),
        ({"origin": "editable", "commit": COMMIT, "branch": "main", "uncommitted": 2},
         "mylib 0.3: editable, commit 1a2b3c4 on main, 2 files uncommitted"),
        ({"origin": "editable", "commit": COMMIT, "uncommitted": 1, "url": "https://git.example.org/lab/mylib"},
         "mylib 0.3: editable, commit 1a2b3c4 of https://git.example.org/lab/mylib, 1 file uncommitted"),
        ({"origin": "editable"}, "mylib 0.3: editable, in no git commit"),
        ({"origin": "vcs", "commit": COMMIT, "url": "https://git.example.org/lab/mylib"},
         "mylib 0.3: commit 1a2b3c4 of https://git.example.org/lab/mylib"),
        ({"origin": "vcs"}, "mylib 0.3: a repository"),
        ({"origin": "url", "url": "https://files.example.org/mylib.whl"},
         "mylib 0.3: from https://files.example.org/mylib.whl"),
        ({"origin": "local", "proof": "url"},
         "mylib 0.3: from this machine, its wheel mylib-0.3-py3-none-any.whl kept with the lock"),
        ({"origin": "local", "proof": "captured"}, "mylib 0.3: from this machine, its files kept with the lock"),
        ({"origin": "local", "proof": "captured", "commit": COMMIT, "branch": "main"},
         "mylib 0.3: from this machine, its files kept with the lock, commit 1a2b3c4 on main"),
        ({"proof": "captured", "sdist": SourceArchive(file="mylib-0.3.tar.gz", sha256="b" * 64)},
         "mylib 0.3: built from mylib-0.3.tar.gz"),
    ],
)  # fmt: skip
def test_each_origin_has_its_line(fields: dict[str, object], line: str) -> None:
    assert origin_line(package(**fields)) == line
