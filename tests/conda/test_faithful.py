"""The image computed from a live conda environment is the one built from its channel."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import rattler

from envcap.blobs import open_lock
from envcap.lockfile.model import Lockfile
from tests.conda.channel import PLACEHOLDER, PYTHON, SITE, Channel, install
from tests.conda.world import make_world
from tests.flow import WHEELS, Flow, Wheel, install_wheel


def write_anew(path: Path, text: str) -> None:
    """Replace a file, never the package cache's that it may be a hard link to."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_text(text)
    path.chmod(mode)


def lock_of(flow: Flow) -> Lockfile:
    return open_lock(flow.lock).lockfile


def snapshot_and_rebuild(flow: Flow) -> str:
    """Take a snapshot, rebuild it from the channel with a store of its own, and give the image ID of both."""
    taken = flow.snapshot("--json")
    assert taken.status == 0, taken.err
    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(flow.root / "other-store")})
    rebuilt = other.run("rebuild", flow.lock, "--json")
    assert rebuilt.status == 0, rebuilt.err
    assert json.loads(rebuilt.out)["level"] == "config"
    assert json.loads(rebuilt.out)["image_id"] == json.loads(taken.out)["image_id"]
    return str(json.loads(taken.out)["image_id"])


def image_id(flow: Flow) -> str:
    return lock_of(flow).expected[0].image_id


def test_nothing_of_an_untouched_environment_is_patched(locked: Flow) -> None:
    lock = lock_of(locked)

    assert [row.name for row in lock.conda] == ["fast", "hooked", "old", "python", "tool"]
    assert not [row.name for row in lock.conda if row.patches]
    assert (lock.packages, lock.captured, lock.interpreter.origin, lock.interpreter.home) == (
        ((), (), "conda", "opt/conda")
    )


def test_the_lock_names_no_place_of_this_machine(locked: Flow) -> None:
    text = (locked.lock / "envcap.lock").read_text()

    assert str(locked.root) not in text
    assert "file:" not in text
    assert PLACEHOLDER not in text


@pytest.mark.parametrize("name", ["env", "with a space", "l" * 120, "e"])
def test_where_the_prefix_lies_does_not_matter(channel: Channel, locked: Flow, tmp_path: Path, name: str) -> None:
    flow = make_world(tmp_path / "world", channel, prefix=name)

    assert snapshot_and_rebuild(flow) == image_id(locked)


def test_a_moved_prefix_gives_the_same_image(channel: Channel, locked: Flow, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    moved = replace(flow, environment="somewhere/else")
    moved.prefix.parent.mkdir()
    shutil.move(flow.prefix, moved.prefix)

    assert snapshot_and_rebuild(moved) == image_id(locked)


def test_a_second_snapshot_writes_the_same_lock(locked: Flow) -> None:
    again = replace(locked, settings={**locked.settings, "ENVCAP_STORE": str(locked.root / "second-store")})
    folder = locked.root / "again"

    assert again.run("snapshot", locked.prefix, "--name", "small", "--output", folder).status == 0
    first, second = (open_lock(path).lockfile for path in (locked.lock, folder / "small"))
    assert replace(first, expected=()) == replace(second, expected=())
    assert first.expected[0].image_id == second.expected[0].image_id


def test_the_image_can_be_captured_again(channel: Channel, locked: Flow, tmp_path: Path) -> None:
    """A snapshot of what a rebuild wrote pins the same packages, files and image."""
    flow = replace(locked, root=locked.root, environment="rootfs/opt/conda")

    taken = flow.run("snapshot", flow.prefix, "--name", "small", "--output", tmp_path / "locks", "--json")

    assert taken.status == 0, taken.err
    before, after = lock_of(locked), open_lock(tmp_path / "locks/small").lockfile
    assert after.conda == before.conda
    assert after.expected[0].image_id == before.expected[0].image_id


def test_other_tools_read_the_images_records(locked: Flow) -> None:
    records = [
        rattler.PrefixRecord.from_path(path)
        for path in sorted((locked.root / "rootfs/opt/conda/conda-meta").glob("*.json"))
    ]

    assert [(record.name.normalized, str(record.version), record.channel) for record in records] == [
        (row.name, row.version, "lab") for row in lock_of(locked).conda
    ]
    for record in records:
        assert all((locked.root / "rootfs/opt/conda" / path).is_symlink() or
                   (locked.root / "rootfs/opt/conda" / path).is_file() for path in record.files)  # fmt: skip


def test_the_image_names_its_own_prefix_everywhere(locked: Flow) -> None:
    root = locked.root / "rootfs/opt/conda"

    assert (root / SITE / "tool/where.py").read_text() == "PREFIX = '/opt/conda/etc'\nAGAIN = '/opt/conda'\n"
    assert (root / "bin/tool").read_text().startswith("#!/opt/conda/bin/python\n")
    strings = (root / "lib/libfast.so.1.2").read_bytes()
    assert b"\0/opt/conda/lib:/opt/conda/share\0" in strings
    assert strings.startswith(b"\x7fNOT ELF\0")
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".json":
            data = path.read_bytes()
            assert str(locked.prefix).encode() not in data, path
            assert PLACEHOLDER.encode() not in data, path
    assert (root / "include/Fast.h").read_text() != (root / "include/fast.h").read_text()


def edit_text(flow: Flow) -> None:
    write_anew(flow.prefix / SITE / "tool/where.py", f"# mine\nHERE = '{flow.prefix}'\n")


def edit_script(flow: Flow) -> None:
    write_anew(flow.prefix / "bin/tool", f"#!{flow.prefix}/bin/python -x\nprint('mine')\n")


def edit_binary(flow: Flow) -> None:
    path = flow.prefix / "lib/libfast.so.1.2"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data + b"more")


def delete(flow: Flow) -> None:
    (flow.prefix / "share/fast/empty").unlink()
    (flow.prefix / "lib/libfast.so.1").unlink()


def replace_by_link(flow: Flow) -> None:
    (flow.prefix / "include/fast.h").unlink()
    (flow.prefix / "include/fast.h").symlink_to("Fast.h")


def replace_link_by_file(flow: Flow) -> None:
    (flow.prefix / "lib/libfast.so.1").unlink()
    (flow.prefix / "lib/libfast.so.1").write_bytes(b"mine")


def make_executable(flow: Flow) -> None:
    write_anew(flow.prefix / "etc/hooked.conf", "root=mine\n")
    (flow.prefix / "etc/hooked.conf").chmod(0o755)


def make_data_executable(flow: Flow) -> None:
    (flow.prefix / "include/Fast.h").chmod(0o755)


def make_program_executable(flow: Flow) -> None:
    (flow.prefix / "etc/conda/activate.d/hooked.sh").chmod(0o755)
    path = flow.prefix / f"lib/python{PYTHON}/cProfile.py"
    assert path.read_bytes().startswith(b"#!")
    path.chmod(0o755)


def make_sweep(flow: Flow) -> None:
    """As another environment is swept that has the same files by hard links: not its record, which is its own."""
    subprocess.run(["chmod", "-R", "755", str(flow.prefix / "lib")], check=True)


def make_library_plain(flow: Flow) -> None:
    (flow.prefix / "lib/libfast.so.1.2").chmod(0o644)


def make_all_executable(flow: Flow) -> None:
    """As on a folder that is shared with a group."""
    subprocess.run(["chmod", "-R", "755", str(flow.prefix)], check=True)


def run_post_link(flow: Flow) -> None:
    environ = {**os.environ, "PREFIX": str(flow.prefix)}
    subprocess.run(["sh", str(flow.prefix / "bin/.hooked-post-link.sh")], env=environ, check=True)


@pytest.mark.parametrize(
    ("change", "patched"),
    [
        (edit_text, {f"{SITE}/tool/where.py": "edited"}),
        (edit_script, {"bin/tool": "edited"}),
        (edit_binary, {"lib/libfast.so.1.2": "edited"}),
        (delete, {"lib/libfast.so.1": "deleted", "share/fast/empty": "deleted"}),
        (replace_by_link, {"include/fast.h": "edited"}),
        (replace_link_by_file, {"lib/libfast.so.1": "edited"}),
        (make_executable, {"etc/hooked.conf": "edited"}),
        (make_data_executable, {}),
        (make_program_executable, {f"lib/python{PYTHON}/cProfile.py": "edited"}),
        (make_library_plain, {}),
        (make_sweep, {}),
        (make_all_executable, {}),
        (run_post_link, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_changed_by_hand_is_in_the_image(
    channel: Channel, tmp_path: Path, change: Callable[[Flow], None], patched: dict[str, str]
) -> None:
    flow = make_world(tmp_path / "world", channel)
    change(flow)

    snapshot_and_rebuild(flow)

    found = {patch.path: patch.change for row in lock_of(flow).conda for patch in row.patches}
    assert found == patched
    assert [file.path for file in lock_of(flow).captured] == (["made"] if change is run_post_link else [])
    text = (flow.lock / "envcap.lock").read_text()
    kept = b"".join(path.read_bytes() for path in flow.lock.rglob("*") if path.is_file() and path.name != "envcap.lock")
    assert str(flow.prefix) not in text
    assert change is edit_binary or str(flow.prefix).encode() not in kept


def test_permissions_that_came_from_a_swept_package_cache_are_the_archives(channel: Channel, tmp_path: Path) -> None:
    """What one environment shares with the cache by hard links, the next one gets: changed before it was installed."""
    names = ("python", "tool", "fast")
    install(channel, tmp_path / "other", names, cache=tmp_path / "world/cache")
    subprocess.run(["chmod", "-R", "755", str(tmp_path / "other"), str(tmp_path / "world/cache")], check=True)
    flow = make_world(tmp_path / "world", channel, names)

    snapshot_and_rebuild(flow)

    assert [row.name for row in lock_of(flow).conda if row.patches] == []


def test_strict_refuses_an_edited_conda_package(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    delete(flow)

    refused = flow.snapshot("--strict")

    assert refused.status == 3
    assert "fast 3.0: lib/libfast.so.1 deleted, share/fast/empty deleted" in refused.err
    assert not flow.lock.exists()


def test_pips_packages_lie_on_top(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    newer = Wheel(name="tool", version="2.0", files={"tool/__init__.py": b"def main(): ...\n", "tool/new.py": b""})
    (flow.prefix / SITE / "tool/__init__.py").unlink()
    for wheel in (*WHEELS, newer):
        (flow.wheels / wheel.file).write_bytes(wheel.build())
        install_wheel(flow, wheel)

    snapshot_and_rebuild(flow)

    lock = lock_of(flow)
    assert [(row.name, row.proof) for row in lock.packages] == [
        (name, "record") for name in ("alpha", "beta", "gamma", "tool")
    ]
    patches = {row.name: [(patch.path, patch.change) for patch in row.patches] for row in lock.conda if row.patches}
    assert patches == {"tool": [(f"{SITE}/tool/__init__.py", "deleted")]}
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs").status == 0
    root = flow.root / "rootfs/opt/conda"
    assert (root / "bin/alpha").read_text().startswith("#!/opt/conda/bin/python\n")
    assert "../../../bin/alpha," in (root / SITE / "alpha-1.0.dist-info/RECORD").read_text()
    assert (root / SITE / "tool/__init__.py").read_text() == "def main(): ...\n"
    # conda's own metadata stays as conda packed it.
    assert (root / SITE / "tool-1.2.dist-info/INSTALLER").read_text() == "conda\n"


def test_a_package_whose_files_are_all_gone_is_left_out(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    for path in ("share/old.txt", "share/link.txt", "bin/old"):
        (flow.prefix / path).unlink()

    snapshot_and_rebuild(flow)

    assert "old" not in [row.name for row in lock_of(flow).conda]


def test_packages_that_overwrite_each_other_give_one_image(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, ("python", "twin-a", "twin-b"))

    snapshot_and_rebuild(flow)

    assert sum(len(row.patches) for row in lock_of(flow).conda) == 1


def test_files_of_nobody_name_the_images_prefix(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, ("python",))
    kernel = flow.prefix / "share/jupyter/kernels/mine/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [f"{flow.prefix}/bin/python", "-m", "kernel"]}))
    (flow.prefix / SITE).mkdir(exist_ok=True)
    (flow.prefix / SITE / "mine.pth").write_text(f"{flow.prefix}/src\n/elsewhere\nimport os\n")
    (flow.prefix / "bin/mine").write_text(f"#!{flow.prefix}/bin/python\n")
    (flow.prefix / "bin/linked").symlink_to(f"{flow.prefix}/bin/mine")
    flow = replace(flow, settings={**flow.settings, "MY_DATA": f"{flow.prefix}/share:/srv"})

    taken = flow.snapshot("--env", "MY_DATA")
    assert taken.status == 0, taken.err
    rebuilt = flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs", "--json")

    assert json.loads(rebuilt.out)["image_id"] == image_id(flow)
    assert lock_of(flow).image.env == {"MY_DATA": "/opt/conda/share:/srv"}
    root = flow.root / "rootfs/opt/conda"
    assert (
        json.loads((root / "share/jupyter/kernels/mine/kernel.json").read_text())["argv"][0] == "/opt/conda/bin/python"
    )
    assert (root / SITE / "mine.pth").read_text() == "/opt/conda/src\nimport os\n"
    assert (root / "bin/mine").read_text() == "#!/opt/conda/bin/python\n"
    assert str((root / "bin/linked").readlink()) == "/opt/conda/bin/mine"


def test_the_users_own_package_is_seen_before_condas(channel: Channel, tmp_path: Path) -> None:
    """conda's Python looks into the user's folder first, and so does the image."""
    flow = make_world(tmp_path / "world", channel, ("python", "tool"))
    base = flow.home / "local"
    user = replace(flow, settings={**flow.settings, "PYTHONUSERBASE": str(base)})
    wheel = Wheel(name="tool", version="3.0", files={"tool/__init__.py": b"def main():\n    print('user')\n"})
    (flow.wheels / wheel.file).write_bytes(wheel.build())
    place = base / SITE
    for name, data in wheel.members.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    (place / wheel.info / "RECORD").write_text("".join(f"{name},,\n" for name in wheel.members))

    snapshot_and_rebuild(user)

    assert user.run("rebuild", user.lock, "--rootfs", user.root / "rootfs").status == 0
    assert "user" in (user.root / "rootfs/opt/conda" / SITE / "tool/__init__.py").read_text()
    assert {patch.path: patch.change for row in lock_of(user).conda for patch in row.patches} == {
        f"{SITE}/tool/__init__.py": "deleted"
    }
