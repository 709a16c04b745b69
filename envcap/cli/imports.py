"""`envcap import`: a lock of what another tool locked."""

import json
import os
import platform as machine_platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envcap.blobs import LOCK_NAME, check_lock_place, kept_hashes, write_lock_folder
from envcap.cli.conda import conda_rows
from envcap.cli.facts import interpreter_words
from envcap.cli.locks import check_name
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.conda.channel import SUBDIRS, channel_url
from envcap.conda.listed import Listing
from envcap.conda.listing import read_listing
from envcap.errors import LockfileError, UsageError
from envcap.few import few
from envcap.finding import FindingLevel
from envcap.importing.conda import linked_environment, name_channels, without_scripts, without_session
from envcap.importing.resolve import Resolved, resolve_environment
from envcap.importing.wheels import take_beside
from envcap.live.scan import LivePlace
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile
from envcap.render import human_size, table
from envcap.scan.runner import SubprocessRunner
from envcap.snapshot.take import Snapshot, SnapshotRequest, take_snapshot
from envcap.sources.conda_settings import builtin_alias
from envcap.world import World, open_world

_LARGEST = 32 << 20
_PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_SHOWN = 5
_UNPROVED = "none yet: `envcap rebuild --record` writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The command's options, as given."""

    file: Path
    name: str
    environment: str
    python: str
    without: tuple[str, ...]
    output: Path
    suite: str
    offline: bool
    store: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """An environment made of a file, while it lasts.

    Attributes:
        prefix: Where it is.
        listing: conda's packages; None for a `pylock.toml`.
        warnings: What of the file is not in it, or is not proved.
    """

    prefix: Path
    listing: Listing | None = None
    warnings: tuple[str, ...] = ()


def import_command(options: ImportOptions) -> None:
    """Make a lock of a file.

    Raises:
        EnvcapError: It can't be read, or what it names can't be had; nothing was written.
    """
    talk = Talk()
    check_name(options.name)
    platform = _PLATFORMS.get(machine_platform.machine(), "")
    if not platform:
        raise UsageError(f"Unexpected machine {machine_platform.machine()!r} (expected {' or '.join(_PLATFORMS)})")
    is_pylock = options.file.suffix == ".toml"
    _check_options(options, is_pylock=is_pylock)
    text = _read(options.file)
    folder = options.output / options.name
    check_lock_place(folder)
    with open_world(this_machine(store=options.store, offline=options.offline)) as world:
        plain = without_session(world)
        prepare = _wheels if is_pylock else _linked
        with prepare(text, options, platform, plain, talk) as prepared:
            # What was just fetched by the file's addresses need not be asked for by this machine's.
            request = SnapshotRequest(
                place=LivePlace(prefix=prepared.prefix, user_site=False, build=False),
                name=options.name,
                suite=options.suite,
                ask_channels=False,
            )
            found = take_snapshot(request, plain, talk)
            lockfile = _finished(found.lockfile, prepared.listing, world)
            wanted = kept_hashes(lockfile)
            write_lock_folder(folder, lockfile, [row for row in found.kept if row[0] in wanted])
    warnings = [*_told(found, lockfile), *prepared.warnings]
    if options.as_json:
        digest = str(environment_digest(lockfile))
        values: dict[str, object] = {"lock": str(folder / LOCK_NAME), "name": options.name, "digest": digest}
        values |= {"conda": len(lockfile.conda), "packages": len(lockfile.packages)}
        values["image_id"] = lockfile.expected[0].image_id if lockfile.expected else None
        print_data(json.dumps({**values, "warnings": warnings}))
        return
    for message in warnings:
        talk.warn(message)
    print_data(table(_rows(found, lockfile)))
    talk.say(f"Wrote {folder / LOCK_NAME}. Next: envcap rebuild {visible(str(folder))} --load")


@contextmanager
def _linked(text: str, options: ImportOptions, platform: str, world: World, talk: Talk) -> Iterator[_Prepared]:
    """Link what a file of conda's world asks for."""
    subdir, warnings = SUBDIRS[platform], []
    read = read_listing(
        text, name=options.file.name, subdir=subdir, environment=options.environment, without=options.without
    )
    if isinstance(read, Listing):
        listing, resolved = read, Resolved(listing=read)
    else:
        with talk.step("Resolving") as step:
            resolved = resolve_environment(read, subdir=subdir, world=world, step=step)
        listing = resolved.listing
        if read.ignored:
            warnings.append(f"Not taken from {options.file.name}: {', '.join(read.ignored[:_SHOWN])}")
    listing = replace(listing, pip=take_beside(listing.pip, options.file.parent, world))
    unhashed = [row.file for row in listing.packages if not row.md5 and not row.sha256]
    warnings += [
        f"{options.file.name} has no hash of {row}: it is pinned as its channel has it now" for row in unhashed
    ]
    warnings += [f"No channel lists {row}: it is pinned as it was found by its name" for row in resolved.unlisted]
    if listing.left_out:
        warnings.append(f"Not in category `main`, and left out: {', '.join(listing.left_out[:_SHOWN])}")
    with linked_environment(listing, name=options.name, platform=platform, world=world, talk=talk) as prefix:
        yield _Prepared(prefix=prefix, listing=listing, warnings=tuple(warnings))


@contextmanager
def _wheels(text: str, options: ImportOptions, platform: str, world: World, talk: Talk) -> Iterator[_Prepared]:
    """Install the wheels of a `pylock.toml`."""
    from envcap.importing.pylock import read_pylock  # noqa: PLC0415  # the other formats need none of it
    from envcap.importing.venv import choose_interpreter, wheel_environment  # noqa: PLC0415  # as above

    name = options.file.name
    pylock = read_pylock(text, name=name)
    search = [Path(folder) for folder in world.machine.environ.get("PATH", "").split(os.pathsep) if folder]
    run = SubprocessRunner(dict(world.machine.environ))
    facts, wheels = choose_interpreter(pylock, options.python, search, name=name, run=run)
    wheels = take_beside(wheels, options.file.parent, world)
    optional = sorted({*(pylock.extras or ()), *(pylock.dependency_groups or ())} - {*(pylock.default_groups or ())})
    warnings = (f"Extras and groups, left out: {', '.join(optional[:_SHOWN])}",) if optional else ()
    with wheel_environment(wheels, facts, name=options.name, platform=platform, world=world, talk=talk) as prefix:
        yield _Prepared(prefix=prefix, warnings=warnings)


def _check_options(options: ImportOptions, *, is_pylock: bool) -> None:
    if options.environment and is_pylock:
        raise UsageError("`--environment` is for a `pixi.lock`: a `pylock.toml` has one environment")
    if options.python and not is_pylock:
        raise UsageError("`--python` is for a `pylock.toml`: conda's files bring their Python")
    if options.without and options.file.suffix != ".lock":
        raise UsageError("`--without` is for a `pixi.lock`, which builds the project itself from its folder")


def _finished(lockfile: Lockfile, listing: Listing | None, world: World) -> Lockfile:
    """Say what the file says and the folder couldn't; no live environment has proved a `pylock.toml`'s image."""
    if listing is None:
        return replace(without_scripts(lockfile), expected=())
    default = channel_url(world.conda.alias or builtin_alias())
    return without_scripts(name_channels(lockfile, listing, default=default))


def _told(found: Snapshot, lockfile: Lockfile) -> list[str]:
    patched = any(row.patches for row in lockfile.packages)
    told = [row for row in found.findings if row.level is FindingLevel.WARNING]
    return [row.message for row in told if patched or row.code != "package-patched"]


def _rows(found: Snapshot, lock: Lockfile) -> list[tuple[str, str]]:
    named = few([f"{row.name} {row.version}" for row in lock.packages], _SHOWN)
    return [
        ("interpreter", interpreter_words(lock)),
        *conda_rows(lock),
        *([("pip", named)] if lock.packages else []),
        ("OS packages", str(len(lock.system))),
        ("image", f"{len(found.prediction.diff_ids)} layers, {human_size(sum(found.prediction.sizes))} unpacked"),
        ("image ID", lock.expected[0].image_id if lock.expected else _UNPROVED),
    ]


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise LockfileError(f"{file} is too large (expected {_LARGEST} bytes at most)")
        return data.decode()
    except OSError as error:
        raise LockfileError(f"{file} can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise LockfileError(f"{file} is no text in UTF-8") from None
