"""`envcap import`: a lock of what another tool locked."""

import json
import platform as machine_platform
import re
from pathlib import Path

from envcap.blobs import LOCK_NAME, check_lock_place, kept_hashes, write_lock_folder
from envcap.cli.conda import conda_rows
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.conda.channel import channel_url
from envcap.conda.listing import Listing, read_listing
from envcap.conda_import import linked_environment, name_channels, without_scripts, without_session
from envcap.environment import FindingLevel
from envcap.errors import LockfileError, UsageError
from envcap.export.conda import SUBDIRS
from envcap.lockfile.document import environment_digest
from envcap.render import human_size, table
from envcap.snapshot import Snapshot, SnapshotRequest, take_snapshot
from envcap.sources.conda_settings import builtin_alias
from envcap.world import open_world

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_LARGEST = 32 << 20
_PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_SHOWN = 5


def import_command(
    file: Path, name: str, *, output: Path, suite: str, offline: bool, store: Path | None, as_json: bool
) -> None:
    """Make a lock of a file.

    Raises:
        EnvcapError: It can't be read, or what it names can't be had; nothing was written.
    """
    talk = Talk()
    if not _NAME.match(name):
        raise UsageError(f"Unexpected name {name!r} (expected letters, digits, `.`, `_` and `-`)", hint="give `--name`")
    platform = _PLATFORMS.get(machine_platform.machine(), "")
    if not platform:
        raise UsageError(f"Unexpected machine {machine_platform.machine()!r} (expected {' or '.join(_PLATFORMS)})")
    listing = _read(file, SUBDIRS[platform])
    folder = output / name
    check_lock_place(folder)
    with open_world(this_machine(store=store, offline=offline)) as world:
        plain = without_session(world)
        with linked_environment(listing, name=name, platform=platform, world=plain, talk=talk) as prefix:
            request = SnapshotRequest(prefix=prefix, name=name, suite=suite, user_site=False, build=False)
            found = take_snapshot(request, plain, talk)
            default = channel_url(world.conda.alias or builtin_alias())
            lockfile = without_scripts(name_channels(found.lockfile, listing, default=default))
            wanted = kept_hashes(lockfile)
            write_lock_folder(folder, lockfile, [row for row in found.kept if row[0] in wanted])
    unhashed = [row.file for row in listing.packages if not row.md5 and not row.sha256]
    patched = any(row.patches for row in lockfile.packages)
    told = [row for row in found.findings if row.level is FindingLevel.WARNING]
    warnings = [row.message for row in told if patched or row.code != "package-patched"]
    warnings += [f"{file.name} has no hash of {row}: it is pinned as its channel has it now" for row in unhashed]
    if listing.left_out:
        warnings.append(f"Not in category `main`, and left out: {', '.join(listing.left_out[:_SHOWN])}")
    if as_json:
        digest = str(environment_digest(lockfile))
        values = {"lock": str(folder / LOCK_NAME), "name": name, "digest": digest, "conda": len(lockfile.conda)}
        print_data(json.dumps({**values, "image_id": str(found.prediction.image_id), "warnings": warnings}))
        return
    for message in warnings:
        talk.warn(message)
    print_data(table(_rows(found)))
    talk.say(f"Wrote {folder / LOCK_NAME}. Next: envcap rebuild {visible(str(folder))} --load")


def _rows(found: Snapshot) -> list[tuple[str, str]]:
    lock = found.lockfile
    return [
        ("interpreter", f"Python {lock.interpreter.version}, conda's own"),
        *conda_rows(lock),
        *([("pip", ", ".join(f"{row.name} {row.version}" for row in lock.packages[:_SHOWN]))] if lock.packages else []),
        ("OS packages", str(len(lock.system))),
        ("image", f"{len(found.prediction.diff_ids)} layers, {human_size(sum(found.prediction.sizes))} unpacked"),
        ("image ID", str(found.prediction.image_id)),
    ]


def _read(file: Path, subdir: str) -> Listing:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise LockfileError(f"{file} is too large (expected {_LARGEST} bytes at most)")
        listing = read_listing(data.decode(), name=file.name, subdir=subdir)
    except OSError as error:
        raise LockfileError(f"{file} can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise LockfileError(f"{file} is no text in UTF-8") from None
    return listing
