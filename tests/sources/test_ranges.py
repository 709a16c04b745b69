"""Parts of remote files: the right bytes, few requests, and no trust in what a server claims."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.sources.answer import AnswerError, Meter
from envcap.sources.hashing import hash_file
from envcap.sources.http import Session
from envcap.sources.location import IndexLocation
from envcap.sources.ranges import open_remote
from envcap.sources.settings import IndexSettings
from tests.sources.index_server import Fault, Index, serve

DATA = bytes(range(256)) * 40
PATH = "/files/a.whl"


def session_for(index: Index) -> Session:
    settings = IndexSettings(indexes=(IndexLocation(name="pypi", url=index.simple),), timeout=5)
    return Session(settings, sleep=lambda _: None)


def served(stack: ExitStack, **fields: object) -> tuple[Index, Session, str]:
    index = stack.enter_context(serve(Index(**fields)))  # type: ignore[arg-type]
    index.add("a", "a.whl", DATA)
    return index, stack.enter_context(session_for(index)), index.url + PATH


@pytest.mark.parametrize("ranges", [False, True])
def test_every_part_has_the_right_bytes(*, ranges: bool) -> None:
    parts = st.tuples(st.integers(0, len(DATA) + 5), st.integers(0, 3000))

    @settings(deadline=None, max_examples=40)
    @given(st.lists(parts, max_size=6), st.integers(1, 12_000), st.booleans())
    def check(wanted: list[tuple[int, int]], tail: int, known: bool) -> None:  # noqa: FBT001 - given by hypothesis
        size = len(DATA) if known else -1
        with open_remote(session, url, tail=tail, meter=Meter(), size=size) as reader:
            assert reader.size == len(DATA)
            for offset, length in wanted:
                assert reader.read_at(offset, length) == DATA[offset : offset + length]

    with ExitStack() as stack:
        _, session, url = served(stack, ranges=ranges)
        check()


def test_the_tail_costs_one_request_and_what_precedes_it_one_more() -> None:
    with ExitStack() as stack:
        index, session, url = served(stack)
        meter = Meter()
        with open_remote(session, url, tail=1000, meter=meter, size=len(DATA)) as reader:
            reader.read_at(len(DATA) - 500, 500)
            assert (len(index.requests), meter.received) == (1, 1000)
            reader.read_at(len(DATA) - 3000, 3000)
            reader.read_at(len(DATA) - 2500, 100)
            assert (len(index.requests), meter.received) == (2, 3000)
        assert index.requests[0].headers["accept-encoding"] == "identity"
        assert index.requests[1].headers["if-range"] == '"one"'


def test_a_file_that_changes_meanwhile_is_refused() -> None:
    with ExitStack() as stack:
        index, session, url = served(stack)
        with open_remote(session, url, tail=100, meter=Meter()) as reader:
            index.etag = '"two"'
            with pytest.raises(AnswerError, match="changed"):
                reader.read_at(0, 10)


BAD_ANSWERS = {
    "another range": Fault(headers={"Content-Range": f"bytes 0-9/{len(DATA)}"}),
    "senseless": Fault(headers={"Content-Range": "bytes 9-1/5"}),
    "no range": Fault(headers={"Content-Range": "x"}),
    "other size": Fault(headers={"Content-Range": f"bytes {len(DATA) + 900}-{len(DATA) + 999}/{len(DATA) + 1000}"}),
    "short": Fault(cut=10),
    "encoded": Fault(headers={"Content-Encoding": "gzip"}),
    "other": Fault(status=416),
    "gone": Fault(status=404),
}


@pytest.mark.parametrize("fault", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_wrong_answer_to_a_range_is_refused(fault: Fault) -> None:
    with ExitStack() as stack:
        index, session, url = served(stack)
        index.always[PATH] = fault
        with pytest.raises(AnswerError), open_remote(session, url, tail=100, meter=Meter(), size=len(DATA)):
            pass


def test_another_size_than_the_indexs_is_refused() -> None:
    with ExitStack() as stack:
        index, session, url = served(stack)
        for index.ranges in (True, False):
            with pytest.raises(AnswerError), open_remote(session, url, tail=100, meter=Meter(), size=len(DATA) - 1):
                pass


def test_a_large_file_without_ranges_is_not_fetched_whole() -> None:
    with ExitStack() as stack:
        _, session, url = served(stack, ranges=False)
        meter = Meter()
        with (
            pytest.raises(AnswerError, match="too large"),
            open_remote(session, url, tail=100, meter=meter, size=len(DATA), spool_limit=1000),
        ):
            pass
        assert meter.received == 0


def test_a_file_of_this_machine_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(DATA)
    with ExitStack() as stack:
        _, session, _ = served(stack)
        url = (tmp_path / "a.whl").as_uri()
        with open_remote(session, url, tail=1, meter=Meter()) as reader:
            assert reader.read_at(256, 256) == DATA[256:512]
        assert hash_file(session, url, size=len(DATA), meter=Meter()) == hash_file(
            session, served(stack)[2], size=len(DATA), meter=Meter()
        )
        with pytest.raises(AnswerError):
            hash_file(session, url, size=5, meter=Meter())
