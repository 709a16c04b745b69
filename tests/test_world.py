"""This machine as an argument: offline asks nobody, and parsed indexes are remembered."""

from pathlib import Path

import pytest

from envcap.errors import SourceError, StoreError, SystemPackageError
from envcap.world import Machine, StoredCache, World, open_world


def machine(root: Path, *, offline: bool = False, **environ: str) -> Machine:
    home = root / "home"
    home.mkdir(exist_ok=True)
    return Machine(
        environ={"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_NO_CONFIG": "1", **environ},
        home=home,
        cwd=root,
        store=root / "store",
        offline=offline,
        now=1_700_000_000,
    )


def read(world: World, url: str) -> bytes:
    return b"".join(world.transport.stream(url, limit=100))


def test_offline_reads_files_of_this_machine_and_asks_no_server(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    with open_world(machine(tmp_path, offline=True)) as world:
        assert read(world, (tmp_path / "file").as_uri()) == b"here"
        with pytest.raises(SourceError, match=r"was not asked \(offline\)") as caught:
            read(world, "https://user:secret@example.org/file")
    assert "secret" not in caught.value.message
    assert "--offline" in caught.value.hint


def test_mirrors_come_from_the_variable_of_the_machine_given(tmp_path: Path) -> None:
    with open_world(machine(tmp_path, ENVCAP_DEBIAN_MIRROR="https://example.org/debian/")) as world:
        assert [mirror.uri for mirror in world.debian_mirrors().main] == ["https://example.org/debian"]
        assert world.debian_access().now == 1_700_000_000
    with (
        open_world(machine(tmp_path, ENVCAP_DEBIAN_MIRROR="ftp://example.org")) as world,
        pytest.raises(SystemPackageError),
    ):
        world.debian_access()


def test_tables_are_kept_in_the_store(tmp_path: Path) -> None:
    with open_world(machine(tmp_path)) as world:
        cache = StoredCache(world.store)
        assert cache.get("a") is None
        cache.put("a", b"table")
        cache.put("b", b"")
        assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"table", b"", None)
    with open_world(machine(tmp_path)) as world:
        assert StoredCache(world.store).get("a") == b"table"


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_damaged_table_counts_as_unknown(tmp_path: Path, damage: str) -> None:
    with open_world(machine(tmp_path)) as world:
        StoredCache(world.store).put("a", b"table")
    for path in (tmp_path / "store" / "blobs").rglob("*"):
        if path.is_file() and path.read_bytes() == b"table":
            path.unlink()
            if damage == "changed":
                path.write_bytes(b"tablE")
    with open_world(machine(tmp_path)) as world:
        cache = StoredCache(world.store)
        assert cache.get("a") is None
        cache.put("a", b"table")
        assert cache.get("a") == b"table"


def test_a_store_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StoreError), open_world(machine(tmp_path)):
        pass
