"""The `envcap` program: its commands, in the order in which its help lists them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from envcap.cli.commands import environments, images, locks, sharing, store
from envcap.cli.failure import INTERRUPTED, explain, fail

app = typer.Typer(
    name="envcap",
    help="Capture a live Python or conda environment and its GPU stack, pin every byte, "
    "rebuild it anywhere as a byte-identical OCI image.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Care for the content store.", no_args_is_help=True, rich_markup_mode=None)
gpu_app = typer.Typer(help="Ask what GPUs a lock runs on.", no_args_is_help=True, rich_markup_mode=None)

app.command()(environments.snapshot)
app.command()(images.rebuild)
app.command("run")(images.run_image)
app.command()(images.verify)
app.command()(environments.check)
app.command()(environments.diff)
app.command()(locks.show)
app.command()(locks.export)
app.command("import")(environments.import_file)
app.command()(locks.bundle)
app.command()(locks.doctor)
app.command()(sharing.publish)
app.command()(sharing.pull)
app.command()(sharing.history)
app.command()(sharing.sign)
app.add_typer(gpu_app, name="gpu")
gpu_app.command("where")(locks.gpu_where)
app.add_typer(store_app, name="store")
store_app.command("path")(store.store_path)
store_app.command("fsck")(store.store_fsck)
store_app.command("gc")(store.store_gc)


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
