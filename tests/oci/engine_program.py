"""A `docker` to put into PATH: a small script that keeps what it is given in a folder.

It knows images by the digest of their config, as docker does, or of their manifest (`containerd`), as docker's
containerd store does; `run` writes down its arguments, passes its input on and exits with 7.
"""

import json
from pathlib import Path

_SCRIPT = """#!{python} -IS
import json, sys, tarfile
from pathlib import Path
state = Path({state!r})
verb = sys.argv[1]
settings = json.loads((state / "settings.json").read_text())
with open(state / "calls.txt", "a") as file:
    file.write(" ".join(sys.argv[1:3]) + "\\n")
if verb in settings["fail"]:
    sys.exit("first line\\n" + verb + " failed: no space left\\n")
if verb == "info":
    print(json.dumps(settings["info"]))
elif verb == "image":
    name = sys.argv[-1]
    if not (state / name.replace(":", "-")).exists():
        sys.exit("Error: No such image: " + name)
    print(name.removeprefix("sha256:") if settings["bare"] else name)
elif verb == "load":
    (state / "image.tar").write_bytes(sys.stdin.buffer.read())
    with tarfile.open(state / "image.tar") as tar:
        index = json.load(tar.extractfile("index.json"))
        digest = index["manifests"][0]["digest"]
        if not settings["containerd"]:
            blob = "blobs/" + digest.replace(":", "/")
            digest = json.load(tar.extractfile(blob))["config"]["digest"]
    (state / digest.replace(":", "-")).touch()
elif verb == "run":
    (state / "run.json").write_text(json.dumps(sys.argv[1:]))
    sys.stdout.write("said " + sys.stdin.read())
    sys.exit(7)
"""

INFO = {"ServerVersion": "28.3.0", "MemTotal": 2_000_000, "Runtimes": {"runc": {}}}


class EngineProgram:
    """The script and what it was given.

    Attributes:
        folder: For PATH.
        path: The script.
    """

    def __init__(self, root: Path, *, python: str, name: str = "docker") -> None:
        self.folder, self._state = root / "bin", root / "state"
        self.path = self.folder / name
        self.folder.mkdir(parents=True)
        self._state.mkdir()
        self.path.write_text(_SCRIPT.format(python=python, state=str(self._state)))
        self.path.chmod(0o755)
        self.set()

    def set(
        self,
        *,
        info: object = INFO,
        fail: tuple[str, ...] = (),
        bare: bool = False,
        containerd: bool = False,
    ) -> None:
        """Say how it behaves from now on."""
        settings = {"info": info, "fail": fail, "bare": bare, "containerd": containerd}
        (self._state / "settings.json").write_text(json.dumps(settings))

    @property
    def calls(self) -> list[str]:
        """The first two words of each call so far."""
        file = self._state / "calls.txt"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def ran(self) -> list[str]:
        """The arguments of the last `run`."""
        found: list[str] = json.loads((self._state / "run.json").read_text())
        return found

    @property
    def loaded(self) -> bytes:
        """What it was given to load."""
        return (self._state / "image.tar").read_bytes()

    def forget(self) -> None:
        """Forget calls, images and runs."""
        for file in self._state.iterdir():
            if file.name != "settings.json":
                file.unlink()
