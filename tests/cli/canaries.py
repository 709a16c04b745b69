"""A world full of secrets, each a different string: wherever one turns up again, it has leaked, and says from where.

The indexes of the world lie on one loopback server, each below a path of its own with a password of its own.
"""

import base64
import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from tests.flow import Flow, Wheel, install_wheel
from tests.sources.index_server import Index, Request

HOME_NAME = "canaryhome"
"""Folder that holds everything: its name is in each path of this machine."""


def canary(where: str) -> str:
    """Make a secret named after the place where it is planted, in the form of those that are found there."""
    if where.startswith("Hex"):
        return sha256(where.encode()).hexdigest()[:32]
    if where.startswith("Mixed"):
        return f"aB3dE5gH7jK9mN1p{where}"
    if where.startswith("Conda"):
        return f"fr-{where.lower()}-1234-abcd"
    return f"ghp_C4n4ry{where}0123456789AbCdEf"


PLACES = (
    "PipConf", "PipConfPath", "PipSite", "PipEnv", "UvToml", "UvEnv", "Netrc", "Pypirc", "CliIndex", "DirectUser",
    "DirectQuery", "DirectFragment", "DirectPath", "GitRemote", "GitHelper", "VcsUser", "FindLinks", "SignedFile",
    "HfToken", "AwsSecret", "WandbKey", "OmpThreads", "XlaFlags", "PythonPath", "LdPreload", "Proxy", "Reference",
    "CondaToken", "DebianMirror", "PythonMirror", "Redirect", "Body", "Broken", "Scheme", "Lock", "Header",
    "HexPath", "HexVcs", "MixedVcs", "Condarc", "Docker", "Aws", "HfFile",
)  # fmt: skip
CANARIES = {place: canary(place) for place in PLACES}
PERCENT = "p%40ss%2F" + CANARIES["UvToml"]
"""A password with percent-encoded characters, as it must be written in a URL."""

WHEELS = {
    name: Wheel(name=name, version="1.0", files={f"{name}/__init__.py": b"VALUE = 1\n" * 30, f"{name}/data.txt": b"x"})
    for name in ("pipconf", "uvtoml", "cliindex", "netrc", "condatoken", "findlinks", "directurl", "hexpath")
}


@dataclass(kw_only=True)
class GuardedIndex(Index):
    """Indexes below `/NAME/simple/`, one project each; every file's URL is signed.

    Attributes:
        passwords: User and password by the first part of the path.
    """

    passwords: dict[str, str] = field(default_factory=dict)

    def admits(self, request: Request) -> bool:
        wanted = self.passwords.get(request.path.split("/")[1])
        sent = request.headers.get("authorization", "")
        return wanted is None or sent == "Basic " + base64.b64encode(wanted.encode()).decode()

    def body(self, path: str) -> tuple[str, bytes] | None:
        plain = path.partition("?")[0]
        if plain == "/links.html":
            wheel = WHEELS["findlinks"]
            return "text/html", f'<a href="/files/{wheel.file}?token={CANARIES["SignedFile"]}">x</a>'.encode()
        folder, _, rest = plain.removeprefix("/").partition("/")
        if rest.startswith(f"{CANARIES['CondaToken']}/"):
            rest = rest.partition("/")[2]
        # A direct URL over http is not asked at a rebuild: an index that has the file is.
        projects = {"t": {"condatoken"}, CANARIES["HexPath"]: {"hexpath"}, "pipconf": {"pipconf", "directurl"}}.get(
            folder, {folder}
        )
        if rest.startswith("simple/") and rest.split("/")[1] in projects:
            found = super().body(f"/{rest}")
            signature = f".whl?X-Amz-Signature={CANARIES['SignedFile']}".encode()
            return (found[0], found[1].replace(b'.whl", "hashes', signature + b'", "hashes')) if found else None
        return super().body(plain)


def plant(flow: Flow, server: GuardedIndex) -> Flow:
    """Put a secret into every place where one is found in the wild; the indexes among them work."""
    c = CANARIES
    host = server.url.removeprefix("http://")
    for wheel in WHEELS.values():
        server.add(wheel.name, wheel.file, wheel.build())
        install_wheel(flow, wheel)
    server.passwords |= {
        "pipconf": f"ada:{c['PipConf']}",
        "uvtoml": f"ada:p@ss/{c['UvToml']}",
        "cliindex": f"{c['CliIndex']}:",
        "netrc": f"ada:{c['Netrc']}",
    }
    pip = f"[global]\nindex-url = http://ada:{c['PipConf']}@{host}/pipconf/simple\n"
    uv = f'[[index]]\nname = "lab"\nurl = "http://ada:{PERCENT}@{host}/uvtoml/simple"\n'
    netrc = f"machine localhost login ada password {c['Netrc']}\n"
    pypirc = f"[pypi]\nusername = __token__\npassword = {c['Pypirc']}\n"
    for name, text in {
        ".config/pip/pip.conf": pip, ".config/uv/uv.toml": uv, ".netrc": netrc, ".pypirc": pypirc,
        ".condarc": f"channels:\n  - https://conda.example.org/t/{c['Condarc']}/lab\n",
        ".docker/config.json": f'{{"auths": {{"example.org": {{"auth": "{c["Docker"]}"}}}}}}',
        ".aws/credentials": f"[default]\naws_secret_access_key = {c['Aws']}\n",
        ".cache/huggingface/token": c["HfFile"],
        ".git-credentials": f"https://ada:{c['GitHelper']}@git.example.org\n",
    }.items():  # fmt: skip
        path = flow.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    site = (
        f"[install]\nextra-index-url = http://ada:{c['PipSite']}@{host}/site/simple\n"
        f"    http://ada:${{SECRET_REFERENCE}}@{host}/nothing/{c['PipConfPath']}/simple\n"
    )
    (flow.prefix / "pip.conf").write_text(site)
    _plant_origins(flow, host)
    environ = {
        "PIP_CONFIG_FILE": "", "PIP_NO_INDEX": "", "UV_NO_CONFIG": "", "NO_PROXY": "127.0.0.1,localhost",
        "PIP_FIND_LINKS": f"http://{host}/links.html?token={c['FindLinks']}",
        "UV_EXTRA_INDEX_URL": f"http://ada:{c['PipEnv']}@{host}/pipenv/simple http://{host}/t/{c['CondaToken']}/simple "
        f"http://localhost:{host.rpartition(':')[2]}/netrc/simple http://{host}/{c['HexPath']}/simple",
        "UV_INDEX_LAB_PASSWORD": "", "UV_INDEX": f"private=http://{host}/private/simple",
        "UV_INDEX_PRIVATE_USERNAME": "ada", "UV_INDEX_PRIVATE_PASSWORD": c["UvEnv"],
        "SECRET_REFERENCE": c["Reference"], "HTTPS_PROXY": f"http://ada:{c['Proxy']}@127.0.0.1:9",
        "HF_TOKEN": c["HfToken"], "AWS_SECRET_ACCESS_KEY": c["AwsSecret"], "WANDB_API_KEY": c["WandbKey"],
        "OMP_NUM_THREADS": c["OmpThreads"], "XLA_FLAGS": f"--xla_dump_to={c['XlaFlags']}",
        "PYTHONPATH": f"/srv/{c['PythonPath']}", "LD_PRELOAD": f"/srv/{c['LdPreload']}/libx.so", "ENVCAP_DEBUG": "1",
    }  # fmt: skip
    return replace(flow, settings=environ)


def _plant_origins(flow: Flow, host: str) -> None:
    """Install from a URL, from a repository and from a project folder, with secrets in each address."""
    c = CANARIES
    direct = (
        f"http://ada:{c['DirectUser']}@{host}/files/{WHEELS['directurl'].file}"
        f"?token={c['DirectQuery']}&sig={c['DirectPath']}#access_token={c['DirectFragment']}"
    )
    _direct_url(flow, "directurl", f'{{"url": "{direct}", "archive_info": {{}}}}')
    install_wheel(flow, Wheel(name="fromgit", version="1.0", files={"fromgit.py": b"VALUE = 1\n"}))
    vcs = f"https://oauth2:{c['VcsUser']}@git.example.org/t/{c['DirectPath']}/{c['HexVcs']}/{c['MixedVcs']}/fromgit.git"
    commit = "0123456789" * 4
    _direct_url(flow, "fromgit", f'{{"url": "{vcs}", "vcs_info": {{"vcs": "git", "commit_id": "{commit}"}}}}')
    project = flow.root / "project"
    (project / ".git").mkdir(parents=True)
    (project / "edited").mkdir()
    (project / "edited" / "__init__.py").write_text("VALUE = 1\n")
    remote = f'[remote "origin"]\n\turl = https://oauth2:{c["GitRemote"]}@git.example.org/lab/edited.git\n'
    header = f"[http]\n\textraheader = AUTHORIZATION: basic {c['Header']}\n"
    (project / ".git" / "config").write_text("[core]\n\trepositoryformatversion = 0\n" + remote + header)
    (project / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    for folder in ("objects", "refs/heads"):
        (project / ".git" / folder).mkdir(parents=True)
    editable = Wheel(name="edited", version="1.0", files={"edited.pth": f"{project}\n".encode()})
    install_wheel(flow, editable)
    _direct_url(flow, "edited", f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}')


def _direct_url(flow: Flow, name: str, text: str) -> None:
    (flow.site_packages / f"{name}-1.0.dist-info" / "direct_url.json").write_text(text)


def find_leaks(data: bytes, names: tuple[str, ...] = PLACES) -> list[str]:
    """Name the secrets in some bytes: as they are, percent-encoded, or in base64 as an Authorization header."""
    found = []
    for name in names:
        secret = CANARIES[name]
        forms = [secret, quote(secret, safe=""), secret.lower(), *_base64_cores(secret)]
        if any(form.encode() in data for form in forms):
            found.append(name)
    return found


def _base64_cores(secret: str) -> Iterator[str]:
    """Yield what is the same in the base64 of every text that holds the secret, at each of the three alignments."""
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        yield text[4:-4]


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield some bytes, and what they hold if they are an archive or compressed, as deep as it goes."""
    yield data
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from unpacked(archive.read(name))
    for magic, opened in ((b"\x1f\x8b", gzip.decompress), (b"\xfd7zXZ", lzma.decompress), (b"BZh", bz2.decompress)):
        if data.startswith(magic):
            try:
                yield from unpacked(opened(data))
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                return


def leaks_below(place: Path) -> dict[str, list[str]]:
    """Name the secrets in each file below a folder, or in one file, its name included."""
    files = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
    files += [place] if place.is_file() else []
    found: dict[str, list[str]] = {}
    for path in files:
        data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        texts = [str(path.relative_to(place.parent)).encode(), *unpacked(data)]
        if path.suffix == ".tar":
            texts += [part for blob in _tar_members(data) for part in unpacked(blob)]
        leaks = sorted({leak for text in texts for leak in find_leaks(text)})
        if leaks:
            found[path.name] = leaks
    return found


def _tar_members(data: bytes) -> Iterator[bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield file.read()
