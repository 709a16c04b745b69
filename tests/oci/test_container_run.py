"""The command line of a container."""

from dataclasses import replace
from pathlib import Path

import pytest

from envcap.errors import UsageError
from envcap.oci.container_run import ContainerRun, absolute_volume, as_caller, mount_of, run_arguments


def test_a_bare_run_has_the_fewest_options() -> None:
    assert run_arguments(ContainerRun(image="sha256:ab")) == [
        "run",
        "--rm",
        "--interactive",
        "--pull=never",
        "sha256:ab",
    ]


def test_everything_that_is_asked_for_comes_before_the_image() -> None:
    run = ContainerRun(
        image="sha256:ab",
        command=("python", "-c", "print(1)", "--", "-v"),
        terminal=True,
        volumes=("/a:/b:ro", "--privileged:/x"),
        variables=("A=1", "TOKEN"),
        workdir="/b",
        user="1000:1000",
        memory=1001,
        options=("--gpus=all",),
    )
    assert run_arguments(run) == [
        "run", "--rm", "--interactive", "--tty", "--pull=never", "--shm-size=500", "--volume=/a:/b:ro",
        "--volume=--privileged:/x", "--workdir=/b", "--user=1000:1000", "--env=A=1", "--env=TOKEN", "--gpus=all",
        "sha256:ab", "python", "-c", "print(1)", "--", "-v",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/home/me/project", "/data", "/root/x", "/var/home/me", "/opt/site/me", "/mnt/a b", "/tmp/x"]
)
def test_a_folder_of_the_user_s_is_mounted_at_its_own_path(path: str) -> None:
    assert mount_of(Path(path), root="opt/env") == f"{path}:{path}"


@pytest.mark.parametrize("path", ["/", "/usr", "/usr/local/x", "/etc", "/opt", "/opt/env", "/opt/env/lib", "/var/lib"])
def test_a_folder_that_would_hide_the_image_s_own_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="the image has files there") as caught:
        mount_of(Path(path), root="opt/env")
    assert "--volume" in caught.value.hint


@pytest.mark.parametrize("path", ["/home/a:b", "/home/a\nb"])
def test_a_folder_that_no_volume_can_name_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="can't be written as a volume"):
        mount_of(Path(path), root="opt/env")


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("./data:/data:ro", "/home/me/data:/data:ro"),
        ("../data:/data", "/home/me/../data:/data"),
        (".:/work", "/home/me:/work"),
        ("/data:/data", "/data:/data"),
        ("named:/data", "named:/data"),
        ("/anonymous", "/anonymous"),
    ],
)
def test_relative_sources_become_absolute(volume: str, expected: str) -> None:
    assert absolute_volume(volume, Path("/home/me")) == expected


def test_a_bare_name_is_that_of_a_file_or_folder_if_one_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "a.csv").touch()
    assert absolute_volume("data:/data:ro", tmp_path) == f"{tmp_path}/data:/data:ro"
    assert absolute_volume("a.csv:/a.csv", tmp_path) == f"{tmp_path}/a.csv:/a.csv"
    assert absolute_volume("deep/b:/b", tmp_path) == f"{tmp_path}/deep/b:/b"
    assert absolute_volume("volume:/data", tmp_path) == "volume:/data"
    assert absolute_volume(f"{tmp_path}/data:/d", tmp_path) == f"{tmp_path}/data:/d"


BARE = ContainerRun(image="sha256:ab", variables=("A=1",))
CALLER = replace(BARE, user="1000:100", variables=("HOME=/tmp", "A=1"))
UNLABELLED = ("--security-opt=label=disable",)


@pytest.mark.parametrize(
    ("user", "engine", "rootless", "expected"),
    [
        ((0, 0), "docker", False, BARE),
        ((1000, 100), "docker", False, CALLER),
        ((1000, 100), "docker", True, BARE),
        ((1000, 100), "podman", True, replace(BARE, options=UNLABELLED)),
        ((1000, 100), "podman", False, replace(CALLER, options=UNLABELLED)),
    ],
)
def test_what_a_container_writes_into_its_caller_s_folder_is_the_caller_s(
    user: tuple[int, int], engine: str, *, rootless: bool, expected: ContainerRun
) -> None:
    assert as_caller(BARE, user, engine=engine, rootless=rootless) == expected


def test_a_container_is_freed_of_labels_once() -> None:
    run = as_caller(replace(BARE, options=UNLABELLED), (0, 0), engine="podman", rootless=False)
    assert run.options == UNLABELLED
