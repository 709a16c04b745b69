"""What conda runs or sets, and an image does not, is named; a script that only leaves a message is no warning."""

import json
from pathlib import Path

import pytest

from envcap.lock.conda_unrun import only_says
from tests.conda.channel import Channel
from tests.conda.world import make_world


@pytest.mark.parametrize(
    "script",
    [
        "",
        "#!/bin/sh\n# nothing\n",
        '#!/bin/bash\nset -e\necho "Read this" >> "$PREFIX/.messages.txt"\nexit 0\n',
        "echo 'one' > ${PREFIX}/.messages.txt\nprintf 'two' >> $PREFIX/.messages.txt\n",
        "cat <<EOF >> $PREFIX/.messages.txt\nYour $PREFIX is ready; run it & be happy\nEOF\n",
        'cat >> "${PREFIX}/.messages.txt" << "EOF"\n$(not run)\nEOF\n',
    ],
)
def test_a_script_that_only_leaves_a_message_is_told(script: str) -> None:
    assert only_says(script)


@pytest.mark.parametrize(
    "script",
    [
        "touch $PREFIX/made\n",
        "echo done; rm -rf $PREFIX/lib\n",
        "echo x > $PREFIX/lib/x\n",
        "echo $(touch $PREFIX/made)\n",
        "echo `touch x`\n",
        "echo a \\\n  > $PREFIX/x\n",
        "echo x >> $PREFIX/.messages.txt; touch y\n",
        "cat <<EOF >> $PREFIX/.messages.txt\n$(touch made)\nEOF\n",
        "cat <<EOF >> $PREFIX/.messages.txt\nwithout an end\n",
        "cat <<EOF >> $PREFIX/.messages.txt\nx\nEOF\ntouch made\n",
        '"$PREFIX/bin/python" -m tool >> $PREFIX/.messages.txt 2>&1\n',
        "\0",
    ],
)
def test_a_script_that_may_do_more_is_told(script: str) -> None:
    assert not only_says(script)


def test_what_activation_would_set_is_named_without_its_value(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    value = "a-value-of-mine"
    variables = {"XLA_FLAGS": value, "GONE": "***unset***", "od\nd": value}
    (flow.prefix / "conda-meta/state").write_text(json.dumps({"env_vars": variables}))
    (flow.prefix / "etc/conda/env_vars.d").mkdir()
    (flow.prefix / "etc/conda/env_vars.d/mine.json").write_text(json.dumps({"BAR": "1"}))
    (flow.prefix / "etc/conda/activate.d/env_vars.sh").write_text("export FOO=1\n")

    taken = flow.snapshot()

    assert taken.status == 0, taken.err
    assert (
        "warning: Activated, the environment sets BAR, XLA_FLAGS, which the image doesn't: `--env NAME=VALUE`"
        in taken.err
    )
    assert "without the activation scripts of hooked, env_vars.sh (etc/conda/activate.d)" in taken.err
    text = (flow.lock / "envcap.lock").read_text()
    assert value not in taken.out + taken.err + text
    assert "XLA_FLAGS" not in text

    given = flow.snapshot("--env", "XLA_FLAGS=--fast", "--env", "BAR=1")

    assert given.status == 0, given.err
    assert "Activated" not in given.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"env_vars": 3}', '{"env_vars": {"A": 1}}', "\0" * 9, "[" * 99_999])
def test_a_damaged_state_of_conda_says_nothing(channel: Channel, tmp_path: Path, text: str) -> None:
    flow = make_world(tmp_path / "world", channel, ("python",))
    (flow.prefix / "conda-meta/state").write_text(text)

    taken = flow.snapshot()

    assert taken.status == 0, taken.err
    assert "Activated" not in taken.err


def test_a_script_that_only_leaves_a_message_is_a_note(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel)
    script = flow.prefix / "bin/.hooked-post-link.sh"
    script.unlink()
    script.write_text("#!/bin/sh\necho 'thank you' >> $PREFIX/.messages.txt\n")

    taken = flow.snapshot("--json")

    assert taken.status == 0, taken.err
    assert "conda-link-script" not in {row["code"] for row in json.loads(taken.out)["warnings"]}
