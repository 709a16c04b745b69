"""A process that publishes: `python -m tests.sharing.publisher REGISTRY`."""

import sys

from envcap.registry.connection import Connection
from envcap.registry.settings import RegistrySettings
from tests.sharing.published import FACTS, publish
from tests.trust.people import ALICE

if __name__ == "__main__":
    with Connection(sys.argv[1], RegistrySettings()) as connection:
        publish(connection, said=(ALICE.signs(FACTS).data,))
