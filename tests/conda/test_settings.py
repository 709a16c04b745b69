"""Where conda packages are looked for on this machine, and with which rights."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from envcap.lockfile.model import Artifact
from envcap.sources.conda_locator import CONDA_CHANNEL, CondaLocator
from envcap.sources.conda_settings import CondaSettings, builtin_alias, find_conda_settings
from envcap.sources.locate import FilePlace, Refusal


def settings(tmp_path: Path, condarc: str = "", environ: Mapping[str, str] | None = None) -> CondaSettings:
    (tmp_path / ".condarc").write_text(condarc)
    return find_conda_settings(environ or {}, tmp_path, tmp_path, root=tmp_path / "root")


def wanted(channel: str) -> Artifact:
    return Artifact(platform="", source=CONDA_CHANNEL, file=f"{channel}/noarch/x-1-0.conda", size=1, sha256="0" * 64)


def places(found: CondaSettings, channel: str, hints: Mapping[str, str] | None = None) -> list[str]:
    locator = CondaLocator(found, hints or {}, offline=False)
    return [row.url if isinstance(row, FilePlace) else row.answer for row in locator.urls(wanted(channel))]


def test_a_name_is_looked_for_below_the_alias(tmp_path: Path) -> None:
    found = settings(tmp_path, "channel_alias: https://mirror.example.org/conda/\n")

    assert places(found, "pkgs/main") == ["https://mirror.example.org/conda/pkgs/main/noarch/x-1-0.conda"]


def test_the_variable_is_stronger_than_the_file(tmp_path: Path) -> None:
    environ = {"CONDA_CHANNEL_ALIAS": "https://b.example.org"}

    assert settings(tmp_path, "channel_alias: https://a.example.org\n", environ).alias == "https://b.example.org"


def test_configured_places_of_a_channel_come_before_the_alias_and_the_hint(tmp_path: Path) -> None:
    condarc = """
channels: [https://a.example.org/lab, defaults]
custom_channels: {lab: https://b.example.org/conda}
mirrored_channels: {lab: [https://c.example.org/m]}
"""
    found = settings(tmp_path, condarc, {"CONDA_CHANNEL_ALIAS": "https://d.example.org"})

    assert places(found, "lab", {"lab": "https://e.example.org/lab"}) == [
        f"https://{base}/noarch/x-1-0.conda"
        for base in ("a.example.org/lab", "b.example.org/conda/lab", "c.example.org/m", "d.example.org/lab",
                     "e.example.org/lab")
    ]  # fmt: skip


def test_a_lock_may_not_name_a_folder_or_plain_http(tmp_path: Path) -> None:
    found = settings(tmp_path, "channel_alias: https://a.example.org\n")

    for hint in ("file:///etc", "http://10.0.0.1/lab"):
        assert places(found, "lab", {"lab": hint}) == ["https://a.example.org/lab/noarch/x-1-0.conda"]


def test_user_and_password_are_kept_apart_and_variables_are_read(tmp_path: Path) -> None:
    condarc = "channels: ['https://ada:${PASSWORD}@a.example.org/t/$TOKEN/lab']\n"

    found = settings(tmp_path, condarc, {"PASSWORD": "secret", "TOKEN": "tk-1"})

    assert found.channels == {"lab": ("https://a.example.org/t/tk-1/lab",)}
    assert [(row.user, row.password) for row in found.credentials] == [("ada", "secret")]
    assert "secret" not in repr(found)
    assert "tk-1" not in repr(found)


def test_what_messages_show_holds_no_token(tmp_path: Path) -> None:
    found = settings(tmp_path, "channels: ['https://a.example.org/t/tk-1234567/lab']\n")

    shown = [row.shown for row in CondaLocator(found, {}, offline=True).urls(wanted("lab"))]

    assert len(shown) == 1
    assert "tk-1234567" not in shown[0]


def test_a_folder_is_a_channel(tmp_path: Path) -> None:
    found = settings(tmp_path, "channels: [~/lab]\n", {"CONDA_CHANNELS": f"{tmp_path}/other,conda-forge"})

    assert places(found, "lab") == [f"{(tmp_path / 'lab').as_uri()}/noarch/x-1-0.conda"]
    assert places(found, "other") == [f"{(tmp_path / 'other').as_uri()}/noarch/x-1-0.conda"]


def test_a_package_cache_is_asked_first(tmp_path: Path) -> None:
    cache = tmp_path / "pkgs"
    cache.mkdir()
    (cache / "x-1-0.conda").write_bytes(b"x")
    found = settings(tmp_path, f"channel_alias: https://a.example.org\npkgs_dirs: [{cache}]\n")

    assert places(found, "lab")[0] == (cache / "x-1-0.conda").as_uri()


def test_offline_names_no_server(tmp_path: Path) -> None:
    found = settings(tmp_path, "channel_alias: https://a.example.org\n")

    assert [type(row) for row in CondaLocator(found, {}, offline=True).urls(wanted("lab"))] == [Refusal]


@pytest.mark.parametrize("text", ["channels: [", "a: &a [*a]\n- b", "\tx", "!!python/object:os.system x"])
def test_a_broken_file_is_named_without_its_content(tmp_path: Path, text: str) -> None:
    found = settings(tmp_path, text)

    assert [row.message for row in found.findings] == ["A configuration file of conda can't be read: .condarc"]


@pytest.mark.parametrize("text", ["", "3", "[]", "channels: 3\npkgs_dirs: {a: 1}\ncustom_channels: [x]\n"])
def test_a_file_of_other_shape_says_nothing(tmp_path: Path, text: str) -> None:
    found = settings(tmp_path, text)

    assert (found.alias, dict(found.channels), found.findings) == ("", {}, ())


def test_a_url_that_is_none_is_left_out_unseen(tmp_path: Path) -> None:
    found = settings(
        tmp_path, "channels: ['https://ada:[secret@a.example.org/lab']\n", {"CONDA_CHANNEL_ALIAS": "http://["}
    )

    assert (found.alias, dict(found.channels)) == ("", {})
    assert {row.message for row in found.findings} == {"A URL of conda's configuration is none: it is left out"}


def test_without_any_setting_names_are_relative_to_py_rattlers_constant() -> None:
    assert builtin_alias().startswith("https://")
    assert places(CondaSettings(), "lab") == [f"{builtin_alias()}/lab/noarch/x-1-0.conda"]


def test_a_hint_is_asked_before_that_constant() -> None:
    hints = {"lab": "https://conda.example.org/lab"}

    assert places(CondaSettings(), "lab", hints) == ["https://conda.example.org/lab/noarch/x-1-0.conda"]
