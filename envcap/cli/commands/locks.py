"""Commands about locks: their arguments, and no work."""

from pathlib import Path
from typing import Annotated

import typer

from envcap.cli.commands.options import FORMATS, IndexOption, JsonOption, LockArgument, OfflineOption, StoreOption


def show(
    lock: LockArgument,
    patches: Annotated[
        bool, typer.Option("--patches", help="Show every patched file, with its diff, instead.")
    ] = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Summarise a lock, with sizes."""
    from envcap.cli.show import show_command  # noqa: PLC0415  # commands load when they run

    show_command(lock, as_json=as_json, patches=patches, index=tuple(index or ()), offline=offline, store=store)


def export(
    lock: LockArgument,
    form: Annotated[str, typer.Option("--format", metavar="F", help=f"{FORMATS}.")],
    platform: Annotated[
        str, typer.Option("--platform", metavar="OS/ARCH", help="Of the files [default: the lock's].")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it [default: standard output].")
    ] = None,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
) -> None:
    """Write a lock in another tool's format."""
    from envcap.cli.export import export_command  # noqa: PLC0415  # commands load when they run

    export_command(lock, form, platform=platform, output=output, index=tuple(index or ()), offline=offline, store=store)


def bundle(
    lock: LockArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it [default: NAME.envcap].")
    ] = None,
    image: Annotated[bool, typer.Option("--image", help="Put the rebuilt image in too.")] = False,
    platform: Annotated[
        str, typer.Option("--platform", metavar="OS/ARCH", help="Of the image [default: the lock's].")
    ] = "",
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a lock and everything that it pins into one file, which rebuilds without any network."""
    from envcap.cli.bundle import BundleOptions, bundle_command  # noqa: PLC0415  # commands load when they run

    options = BundleOptions(
        lock=lock, output=output, image=image, platform=platform, index=tuple(index or ()), offline=offline,
        store=store, as_json=as_json,
    )  # fmt: skip
    bundle_command(options)


def doctor(
    lock: LockArgument,
    fix: Annotated[bool, typer.Option("--fix", help="Keep what may get lost beside the lock, in its `blobs`.")] = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what of a lock may not be had one day; status 3 if something may not."""
    from envcap.cli.doctor import DoctorOptions, doctor_command  # noqa: PLC0415  # commands load when they run

    options = DoctorOptions(
        lock=lock, fix=fix, index=tuple(index or ()), offline=offline, store=store, as_json=as_json
    )  # fmt: skip
    doctor_command(options)


def gpu_where(lock: LockArgument, as_json: JsonOption = False) -> None:
    """List the GPU models and driver branches on which a lock runs, and what excludes the others."""
    from envcap.cli.gpu import where_command  # noqa: PLC0415  # commands load when they run

    where_command(lock, as_json=as_json)
