"""The arguments of each command, in the words of typer.

A command imports what does the work when it runs, so that `envcap --help` answers at once.
"""
