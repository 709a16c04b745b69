"""What is kept is looked through, what is public is not, and what was found is remembered."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from envcap.entry import LiteralContent
from envcap.errors import EnvcapError, SecretError
from envcap.lockfile.model import Artifact, CapturedFile, Package, Patch
from envcap.secrets.scanner import FoundSecret
from envcap.snapshot.secrets import KeptFiles, find_secrets, refuse_secrets
from envcap.store import Store, open_store
from envcap.wheel.layout import Layout
from tests.flow import Wheel
from tests.secrets.samples import SECRETS

LAYOUT = Layout(python="3.11")
TOKEN, KIND = SECRETS["pypi"]
WHEEL = Wheel(name="demo", version="1", files={"demo/a.py": TOKEN, "demo-1.data/data/share/b.txt": b"\n" + TOKEN})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def kept(source: str, sha256: str, local_files: Mapping[str, Path] | None = None) -> KeptFiles:
    artifact = Artifact(platform="linux/amd64", source=source, file=WHEEL.file, size=1, sha256=sha256)
    package = Package(name="demo", version="1", artifacts=(artifact,))
    return KeptFiles(packages=[package], unowned=(), contents={}, local_files=local_files or {}, layout=LAYOUT)


def test_a_captured_wheel_names_files_where_they_are_installed(store: Store) -> None:
    files = kept("captured", store.blobs.add_bytes(WHEEL.build()).hex)
    expected = {
        "lib/python3.11/site-packages/demo/a.py": FoundSecret(1, KIND),
        "share/b.txt": FoundSecret(2, KIND),
    }
    assert find_secrets(files, store) == expected
    store.blobs.path(store.blobs.add_bytes(WHEEL.build())).unlink()
    assert find_secrets(files, store) == expected, "it was not remembered"


def test_a_public_artifact_is_not_looked_through(store: Store) -> None:
    assert find_secrets(kept("pypi", store.blobs.add_bytes(WHEEL.build()).hex), store) == {}


def test_patches_and_unowned_files_are(store: Store) -> None:
    patches = (
        Patch(path="a.txt", change="edited", sha256="1" * 64, size=1),
        Patch(path="gone.txt", change="deleted"),
        Patch(path="link", change="added", target="a.txt"),
    )
    files = KeptFiles(
        packages=[Package(name="demo", version="1", patches=patches)],
        unowned=[CapturedFile(path="b.txt", sha256="2" * 64), CapturedFile(path="c.txt", sha256="3" * 64)],
        contents={
            "1" * 64: LiteralContent(TOKEN),
            "2" * 64: LiteralContent(b"\n\n" + TOKEN),
            "3" * 64: LiteralContent(b"harmless"),
        },
        local_files={},
        layout=LAYOUT,
    )
    assert find_secrets(files, store) == {"a.txt": FoundSecret(1, KIND), "b.txt": FoundSecret(3, KIND)}
    with pytest.raises(SecretError, match="2 files that the lock would keep look like credentials") as caught:
        refuse_secrets(files, store, allowed=[])
    assert caught.value.exit_status == 1
    assert refuse_secrets(files, store, allowed=["a.txt", "b.txt"]) == ()
    (finding,) = refuse_secrets(files, store, allowed=["a.txt", "b.txt", "z"])
    assert finding.code == "allow-secret-unused"


def test_a_local_wheel_is_read_where_it_lies(store: Store, tmp_path: Path) -> None:
    path = tmp_path / WHEEL.file
    path.write_bytes(WHEEL.build())
    files = kept("captured", "5" * 64, local_files={"5" * 64: path})
    assert len(find_secrets(files, store)) == 2


def test_what_can_t_be_read_is_an_error(store: Store) -> None:
    with pytest.raises(EnvcapError):
        find_secrets(kept("captured", "6" * 64), store)


def test_many_files_are_named_in_part(store: Store) -> None:
    rows = [CapturedFile(path=f"{number:03}", sha256="1" * 64) for number in range(30)]
    files = KeptFiles(
        packages=[], unowned=rows, contents={"1" * 64: LiteralContent(TOKEN)}, local_files={}, layout=LAYOUT
    )
    with pytest.raises(SecretError) as caught:
        refuse_secrets(files, store, allowed=["000"])
    assert caught.value.message.endswith(f"  020: {KIND} (line 1)\n  and 9 more")
