"""Commands about the content store: their arguments, and no work."""

from typing import Annotated

import typer

from envcap.cli.commands.options import JsonOption, StoreOption


def store_path(store: StoreOption = None) -> None:
    """Print where the store is."""
    from envcap.cli.store import path_command  # noqa: PLC0415  # commands load when they run

    path_command(store)


def store_fsck(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Rehash everything in the store; damaged objects are set aside (status 3)."""
    from envcap.cli.store import fsck_command  # noqa: PLC0415  # commands load when they run

    fsck_command(store, as_json=as_json)


def store_gc(
    days: Annotated[
        float, typer.Option("--keep-days", metavar="DAYS", min=0, help="Keep what was used in so many days.")
    ] = 30,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what has not been used lately; everything can be fetched or built again."""
    from envcap.cli.store import gc_command  # noqa: PLC0415  # commands load when they run

    gc_command(store, days=days, as_json=as_json)
