"""Where a project stands in git, asked of a real git."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from envcap.environment import Checkout, Environment
from envcap.scan import SubprocessRunner, scan_environment
from envcap.scan.git import add_checkouts, git_environ, public_remote, read_checkout
from tests.scan.env_builder import FakeRunner, add_dist, make_env

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="this machine has no git")

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRON, capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "repo" / "proj"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg/a.py").write_text("a\n")
    (folder / "pkg/b.py").write_text("b\n")
    (folder.parent / "outside.txt").write_text("x")
    (folder / ".gitignore").write_text("*.so\n")
    git(folder.parent, "init", "-q", "-b", "main")
    git(folder.parent, "add", "-A")
    git(folder.parent, "commit", "-qm", "one")
    return folder


def ask(folder: Path, *captured: str, environ: Mapping[str, str] = ENVIRON) -> Checkout | None:
    places = [(folder / name).resolve() for name in captured]
    return read_checkout(folder, places, run=SubprocessRunner(git_environ(environ)))


def test_a_clean_checkout_has_commit_and_branch(project: Path) -> None:
    assert ask(project, "pkg/a.py") == Checkout(commit=git(project, "rev-parse", "HEAD"), branch="main")


def test_changed_deleted_staged_and_captured_untracked_files_are_counted_each_once(project: Path) -> None:
    (project / "pkg/a.py").write_text("changed\n")
    (project / "pkg/b.py").unlink()
    (project / "pkg/new.py").write_text("new\n")
    git(project, "add", "pkg/new.py")
    (project / "pkg/ignored.so").write_bytes(b"so")
    (project / "notes.txt").write_text("not captured")
    (project.parent / "outside.txt").write_text("of another project of the repository")
    found = ask(project, "pkg/a.py", "pkg/new.py", "pkg/ignored.so")
    assert found is not None
    assert found.uncommitted == 4


def test_a_file_that_was_only_touched_is_as_committed(project: Path) -> None:
    os.utime(project / "pkg/a.py", (1, 1))
    found = ask(project, "pkg/a.py")
    assert found is not None
    assert found.uncommitted == 0


def test_a_detached_head_has_no_branch(project: Path) -> None:
    git(project, "checkout", "-q", "--detach")
    found = ask(project)
    assert found is not None
    assert found.branch == ""


def test_the_remote_is_scrubbed_and_origin_comes_first(project: Path) -> None:
    git(project, "remote", "add", "fork", "https://git.example.org/fork.git")
    git(project, "remote", "add", "origin", "https://me:s3cr3t@git.example.org/lab/proj.git")
    git(project, "config", "url.https://s3cr3t@git.example.org/.insteadOf", "https://git.example.org/")
    found = ask(project)
    assert found is not None
    assert found.url == "https://git.example.org/lab/proj.git"


def test_nothing_of_the_repository_is_run_or_written(project: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(trap))
    git(project, "config", "diff.external", str(trap))
    hook = project.parent / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(trap, hook)
    os.utime(project / "pkg/a.py", (1, 1))
    index = project.parent / ".git/index"
    before = index.read_bytes()
    assert ask(project, "pkg/a.py") is not None
    assert not (tmp_path / "sprung").exists()
    assert index.read_bytes() == before


def test_variables_that_name_another_repository_do_not_count(project: Path, tmp_path: Path) -> None:
    found = ask(project, environ={**ENVIRON, "GIT_DIR": str(tmp_path / "other"), "GIT_WORK_TREE": "/"})
    assert found is not None


def test_outside_a_repository_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert ask(tmp_path) is None


def test_a_repository_that_does_not_track_the_project_says_nothing_of_it(project: Path) -> None:
    other = project.parent / "other"
    other.mkdir()
    assert ask(other) is None


def test_a_repository_without_commits_says_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a")
    git(tmp_path, "add", "-A")
    assert ask(tmp_path) is None


def test_without_git_there_is_nothing_to_say(project: Path) -> None:
    assert ask(project, environ={**ENVIRON, "PATH": "/nonexistent"}) is None


@pytest.mark.parametrize(
    ("remote", "public"),
    [
        ("git@git.example.org:lab/proj.git", "ssh://git@git.example.org/lab/proj.git"),
        ("ssh://git@git.example.org/lab/proj.git", "ssh://git@git.example.org/lab/proj.git"),
        ("https://tok:x@git.example.org/lab/proj.git", "https://git.example.org/lab/proj.git"),
        ("https://git.example.org/lab/proj.git?private_token=x", "https://git.example.org/lab/proj.git"),
        ("/home/me/proj.git", ""),
        ("../proj.git", ""),
        ("file:///home/me/proj.git", ""),
        ("me@host:proj.git", ""),
    ],
)
def test_a_remote_keeps_what_means_something_elsewhere(remote: str, public: str) -> None:
    assert public_remote(remote) == public


def installed(tmp_path: Path, project: Path, **files: str) -> Environment:
    """An environment into which the project's folder was installed as it is."""
    prefix = make_env(tmp_path / "at")
    url = f'{{"url": "{project.as_uri()}", "dir_info": {{}}}}'
    code = {f"pkg/{name}.py": text for name, text in files.items()}
    add_dist(prefix, "proj", code, metadata={"direct_url.json": url})
    found = scan_environment(prefix, run=FakeRunner(prefix))
    return add_checkouts(found, run=SubprocessRunner(git_environ(ENVIRON)))


def test_a_folder_that_is_as_installed_names_its_commit(project: Path, tmp_path: Path) -> None:
    (project / "pkg/c.py").write_text("untracked\n")
    (live,) = installed(tmp_path, project, a="a\n", b="b\n", c="untracked\n").distributions
    assert live.checkout == Checkout(commit=git(project, "rev-parse", "HEAD"), branch="main", uncommitted=1)


@pytest.mark.parametrize("code", [{"a": "older\n"}, {"gone": "x\n"}, {}])
def test_a_folder_that_holds_other_files_by_now_names_none(project: Path, tmp_path: Path, code: dict[str, str]) -> None:
    (live,) = installed(tmp_path, project, **code).distributions
    assert live.checkout is None
