"""Errors carry what the command line shows, and the status that it exits with."""

import inspect

import pytest

from envcap import errors
from envcap.errors import DifferenceError, EnvcapError, MissingArtifactError, SourceError, UsageError

LEAVES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, EnvcapError) and found is not EnvcapError
]


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_keeps_message_and_hint(leaf: type[EnvcapError]) -> None:
    error = leaf("It failed", hint="try again")
    assert (str(error), error.message, error.hint) == ("It failed", "It failed", "try again")
    assert leaf("It failed").hint == ""


def test_exit_statuses() -> None:
    special = {UsageError: 2, DifferenceError: 3}
    assert {leaf: leaf.exit_status for leaf in LEAVES} == {leaf: special.get(leaf, 1) for leaf in LEAVES}


def test_a_missing_artifact_is_a_sources_fault() -> None:
    with pytest.raises(SourceError):
        raise MissingArtifactError("gone")
