"""The `envcap` program: its commands, in the order in which its help lists them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from envcap.cli.commands import environments, images, locks, sharing, store
from envcap.cli.failure import INTERRUPTED, explain, fail

_HELP = {"help_option_names": ["-h", "--help"]}
"""Inherited by every command."""

app = typer.Typer(
    context_settings=_HELP,
    name="envcap",
    help="Capture a live Python or conda environment and its GPU stack, pin every byte, "
    "rebuild it anywhere as a byte-identical OCI image.",
    epilog="\b\nTo begin with:\n"
    "  envcap snapshot .venv                  # writes lockfiles/NAME, to commit\n"
    "  envcap rebuild lockfiles/NAME --load   # anywhere: the same image, for docker\n"
    "  envcap run lockfiles/NAME -- python    # in that image",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Care for the content store.", no_args_is_help=True, rich_markup_mode=None)
gpu_app = typer.Typer(help="Ask what GPUs a lock runs on.", no_args_is_help=True, rich_markup_mode=None)

app.command(short_help="Capture a live environment as a lock.")(environments.snapshot)
app.command(short_help="Rebuild a lock as an OCI image, the same on every machine.")(images.rebuild)
app.command("run", short_help="Run a command in a lock's image, GPUs included.")(images.run_image)
app.command(short_help="Check an image against its lock, or who vouches for a lock.")(images.verify)
app.command(short_help="Tell what of a live environment is not as its lock says.")(environments.check)
app.command(short_help="Tell what differs between two locks, what matters first.")(environments.diff)
app.command(short_help="Summarise a lock, with sizes.")(locks.show)
app.command(short_help="Write a lock in another tool's format.")(locks.export)
app.command("import", short_help="Make a lock of what another tool locked.")(environments.import_file)
app.command(short_help="Put a lock and all that it pins into one file, for no network.")(locks.bundle)
app.command(short_help="Tell what of a lock may not be had one day.")(locks.doctor)
app.command(short_help="Publish a lock and its image in a registry.")(sharing.publish)
app.command(short_help="Get a published lock, with what is kept with it.")(sharing.pull)
app.command(short_help="List what was published, and who signed and rebuilt it.")(sharing.history)
app.command(short_help="Vouch for a lock: write a signature beside it.")(sharing.sign)
app.add_typer(gpu_app, name="gpu")
gpu_app.command("where", short_help="List the GPU models and drivers on which a lock runs.")(locks.gpu_where)
app.add_typer(store_app, name="store")
store_app.command("path", short_help="Print where the store is.")(store.store_path)
store_app.command("fsck", short_help="Rehash everything, and set aside what is damaged.")(store.store_fsck)
store_app.command("gc", short_help="Remove what has not been used lately.")(store.store_gc)


def _version(value: bool) -> None:
    if value:
        from envcap import __version__  # noqa: PLC0415  # nothing else here needs it
        from envcap.cli.talk import print_data  # noqa: PLC0415  # commands load when they run

        print_data(f"envcap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(argv: Sequence[str]) -> int:
    """Run a command line and give its exit status: 0 fine, 1 failed, 2 usage, 3 a difference was found."""
    try:
        # Without its standalone mode typer hands over what it would print and exit with by itself.
        status = app(args=list(argv), prog_name="envcap", standalone_mode=False)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last place where an error can become a line
        return explain(error)
    if status == INTERRUPTED:
        return fail("Interrupted; nothing was half-written", "", INTERRUPTED)
    return status if isinstance(status, int) else 0
