"""Makes a Debian by hand below a folder: an interpreter's folders, a dpkg database, packages that own files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.environment import Environment
from envcap.scan import Beyond, scan_environment
from tests.scan.env_builder import SITE, FakeRunner, add_dist, record_hash, write

DIST = "lib/python3/dist-packages"
LOCAL = "local/lib/python3.11/dist-packages"


@dataclass(slots=True)
class FakeDebian:
    """A whole Python in `usr`, owned by dpkg.

    Attributes:
        root: Everything lies below it.
        changes: What the probe says otherwise.
        settings: Variables of the user.
    """

    root: Path
    changes: dict[str, object] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        write(self.root, {"usr/bin/python3": "#!/bin/sh\n", "etc/os-release": "ID=debian\nNAME=Debian\n"})
        (self.root / "usr/bin/python3").chmod(0o755)
        self.install("python3.11-minimal", {"lib/python3.11/os.py": "# os\n"})

    @property
    def usr(self) -> Path:
        return self.root / "usr"

    @property
    def user(self) -> Path:
        """The user's base folder (PEP 370)."""
        return self.root / "home/somebody/.local"

    def install(self, name: str, files: Mapping[str, str], *, version: str = "1.0-1", architecture: str = "") -> None:
        """Install a package of Debian's; its files are relative to `usr`."""
        write(self.usr, files)
        paths = sorted({parent for path in files for parent in (path, *map(str, Path(path).parents)) if parent != "."})
        info = f"var/lib/dpkg/info/{name}{f':{architecture}' if architecture else ''}"
        sums = (f"{hashlib.md5(data.encode()).hexdigest()}  {self.usr}/{path}" for path, data in files.items())
        status = self.root / "var/lib/dpkg/status"
        known = status.read_text() if status.exists() else ""
        row = f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture or 'all'}\n"
        write(
            self.root,
            {
                f"{info}.list": "".join(f"{self.usr}/{path}\n" for path in paths),
                f"{info}.md5sums": "".join(f"{line}\n".replace("  /", "  ") for line in sums),
                "var/lib/dpkg/status": f"{known}{row}Version: {version}\n\n",
            },
        )

    def pip(self, base: Path, site: str, name: str, files: Mapping[str, str], *, scripts: tuple[str, ...] = ()) -> None:
        """Install a distribution as pip does, into the folder `site` below `base`."""
        staged = self.root / "staged"
        rows = []
        for script in scripts:
            data = f"#!{self.usr}/bin/python3\nprint('{script}')\n"
            write(base, {f"bin/{script}": data})
            rows.append(f"../../../bin/{script},{record_hash(data.encode())},{len(data)}")
        add_dist(staged, name, files, rows=rows)
        place = base / site
        place.parent.mkdir(parents=True, exist_ok=True)
        for path in sorted((staged / SITE).rglob("*")):
            if path.is_file():
                write(place, {str(path.relative_to(staged / SITE)): path.read_bytes()})
                path.unlink()

    def scan(self, prefix: Path | None = None, **beyond: object) -> Environment:
        """Scan the virtual environment at `prefix`, or the whole Python."""
        said: dict[str, object] = {
            "base_prefix": str(self.usr),
            "site_folders": [f"{self.usr}/{LOCAL}", f"{self.usr}/{DIST}", f"{self.usr}/lib/python3.11/dist-packages"],
            "user_site": f"{self.user}/{SITE}",
            "paths": {
                "stdlib": f"{self.usr}/lib/python3.11",
                "platstdlib": f"{self.usr}/lib/python3.11",
                "purelib": f"{prefix}/{SITE}" if prefix else f"{self.usr}/{LOCAL}",
                "platlib": f"{prefix}/{SITE}" if prefix else f"{self.usr}/{LOCAL}",
                "scripts": "/unused",
                "data": "/unused",
            },
            **self.changes,
        }
        seen = Beyond(
            environ=self.settings,
            dpkg=self.root / "var/lib/dpkg",
            os_release=self.root / "etc/os-release",
            **beyond,  # type: ignore[arg-type]  # fields of Beyond
        )
        place = prefix or self.usr
        executable = None if prefix else self.usr / "bin/python3"
        return scan_environment(place, run=FakeRunner(place, said), executable=executable, beyond=seen)
