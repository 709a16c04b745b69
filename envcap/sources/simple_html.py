"""Links of a project page or find-links page in HTML. Pure.

Source: PEP 503 (anchors, `#sha256=` fragments), PEP 592 (`data-yanked`), PEP 629 (`pypi:repository-version`).
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from envcap.sources.answer import AnswerError

MAX_LINKS = 50_000
"""Links on one page; the largest real project has some 20 000 files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlLink:
    """An anchor with an address.

    Attributes:
        href: As written.
        yanked: True if it has `data-yanked`.
    """

    href: str = field(repr=False)
    yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlPage:
    """What matters of a page.

    Attributes:
        links: In the page's order.
        base: Address of the first `<base href>`, or empty.
        version: `pypi:repository-version`, or empty.
    """

    links: tuple[HtmlLink, ...]
    base: str
    version: str


def parse_html(text: str) -> HtmlPage:
    """Read the links of a page.

    Raises:
        AnswerError: It has too many.
    """
    parser = _Parser()
    try:
        parser.feed(text)
        parser.close()
    except (AssertionError, ValueError) as error:
        raise AnswerError("The page is no HTML", reason="garbage") from error
    return HtmlPage(links=tuple(parser.links), base=parser.base, version=parser.version)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[HtmlLink] = []
        self.base = ""
        self.version = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        match tag:
            case "a" if href := values.get("href"):
                if len(self.links) >= MAX_LINKS:
                    raise AnswerError(f"The page has more than {MAX_LINKS} links", reason="too-large")
                self.links.append(HtmlLink(href=href.strip(), yanked="data-yanked" in values))
            case "base" if not self.base:
                self.base = values.get("href") or ""
            case "meta" if values.get("name") == "pypi:repository-version":
                self.version = values.get("content") or ""
