"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Content store [default: ENVCAP_STORE or the user's cache]."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Ask no index, mirror or archive.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
IndexOption = Annotated[
    list[str] | None, typer.Option("--index", metavar="URL", help="Another package index to ask (repeatable).")
]
PlainHttpOption = Annotated[
    bool, typer.Option("--plain-http", help="Ask the registry over http (this machine's are tried so anyway).")
]
LockArgument = Annotated[Path, typer.Argument(metavar="LOCK", help="A lockfile, its folder, a bundle or a reference.")]
UserSiteOption = Annotated[
    bool | None,
    typer.Option("--user-site/--no-user-site", help="Take the user's own packages too [default: as Python imports]."),
]

FORMATS = "`pylock`, `requirements`, `conda-lock`, `explicit`, `environment`, `cyclonedx` or `dockerfile`"
"""What `export` writes, for help texts."""
