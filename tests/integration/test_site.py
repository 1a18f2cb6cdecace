# SPDX-License-Identifier: Apache-2.0
"""The built site in a real browser, from disk and over HTTP, on a telephone and on a desk."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.integration.command import wait_for

ROOT = Path(__file__).parents[2]
WIDE, NARROW = (1600, 900), (400, 800)
# A page of each kind: the first, a session, tables that are wide, code, and pictures.
PAGES = ("index.html", "tutorial.html", "reference/errors.html", "reference/commands.html", "explanation/mpi.html")
CODE = "MOUNT_NOT_SHARED"


class _Links(HTMLParser):
    """What a page links to, what it loads, and where in it a link may lead."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {"", "__skip"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href") is not None:
            self.links.append(found["href"])
        elif found.get("src") or tag == "link" and found.get("href"):
            self.loads.append(found.get("src") or found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as ``make docs`` does."""
    place = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def served(site):
    """Serve the site on loopback, and give its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["disk", "HTTP"])
def base(request, site, served):
    """Return what precedes the path of a page."""
    return site.as_uri() if request.param == "disk" else served


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): _Links(path.read_text()) for path in site.rglob("*.html")}


def test_there_is_a_page_for_each_document(pages):
    documents = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}

    assert pages.keys() == documents | {"404.html"}


def test_every_link_and_every_anchor_leads_somewhere(site, pages):
    lost = [
        (page, link) for page, found in pages.items() for link in found.links if not _leads(site, pages, page, link)
    ]

    assert lost == []
    assert sum(len(found.links) for found in pages.values()) > 1000, "links were found at all"


def _leads(site, pages, page, link):
    url = urlsplit(link)
    if url.scheme or url.netloc:
        return url.scheme in ("https", "mailto")
    path = os.path.normpath(os.path.join(os.path.dirname(page), unquote(url.path))) if url.path else page
    if page == "404.html":
        path = path.lstrip("/")
    path = os.path.join(path, "index.html") if (site / path).is_dir() else os.path.normpath(path)
    if path not in pages:
        return (site / path).is_file() and not url.fragment
    return unquote(url.fragment) in pages[path].anchors


def test_all_that_a_page_loads_is_in_the_site(site, pages):
    foreign = {load for found in pages.values() for load in found.loads if urlsplit(load).netloc or "//" in load}
    styles = [path for path in site.rglob("*.css") if "url(http" in path.read_text() or "@import" in path.read_text()]

    assert foreign == set() and styles == []


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_pages_are_shown_without_a_complaint_or_a_request_elsewhere(browser, base, size):
    # What a server shows where there is no page; it names its files from the root, which a disk has none of.
    for page in (*PAGES, *(["404.html"] if base.startswith("http") else [])):
        browser.size(*size)
        browser.open(f"{base}/{page}")
        wait_for(lambda: browser.run("return document.readyState") == "complete")

        assert browser.complaints() == [], page
        asked = browser.requests()
        assert f"{base}/{page}" in asked and [url for url in asked if not url.startswith((base, "blob:"))] == [], page
        assert browser.width() <= size[0], page


def test_a_code_is_found(browser, base):
    browser.size(*WIDE)
    browser.open(f"{base}/tutorial.html")
    browser.run("document.querySelector('#__search').click()")
    browser.run(
        "const input = document.querySelector('.md-search__input'); input.focus(); input.value = arguments[0];"
        "input.dispatchEvent(new Event('input', {bubbles: true})); input.dispatchEvent(new Event('keyup'));",
        CODE,
    )

    links = "[...document.querySelectorAll('.md-search-result__link')].map(link => link.pathname)"
    wait_for(lambda: any(path.endswith("/reference/checks.html") for path in browser.run(f"return {links}")))
    assert CODE in browser.text(".md-search-result__list")
    assert [url for url in browser.requests() if not url.startswith((base, "blob:"))] == []
    assert browser.complaints() == []


def test_a_copied_session_is_its_commands_alone(browser, served):
    browser.size(*WIDE)
    browser.open(f"{served}/tutorial.html")
    browser.run(
        "window.copied = []; navigator.clipboard.writeText = async text => window.copied.push(text);"
        "document.execCommand = () => { window.copied.push(document.activeElement.value); return true; }"
    )
    button = "document.querySelectorAll('.language-console [data-clipboard-target]')"
    blocks = "document.querySelectorAll('.language-console code')"
    wait_for(lambda: browser.run(f"return {blocks}.length > 3 && {button}.length === {blocks}.length"))
    browser.run(f"{button}.forEach(one => one.click())")
    shown = browser.run("return [...document.querySelectorAll('.language-console code')].map(code => code.innerText)")
    copied = browser.run("return window.copied")

    expected = ["".join(f"{line[2:]}\n" for line in text.split("\n") if line.startswith("$ ")) for text in shown]
    assert len(copied) == len(shown) and expected[0].startswith("make setup")
    assert [text for text in copied if "$ " in text or "NODE " in text] == []
    assert copied == expected


def test_it_is_light_or_dark_as_the_system_is_until_somebody_chooses(browser, served):
    def scheme():
        return browser.run("return document.body.dataset.mdColorScheme")

    for system, shown in (("light", "default"), ("dark", "slate")):
        browser.size(*WIDE, system)
        browser.open(f"{served}/index.html")
        wait_for(lambda shown=shown: scheme() == shown)
    browser.run("document.querySelector('label[for=__palette_1]').click()")
    wait_for(lambda: scheme() == "default")
    browser.open(f"{served}/tutorial.html")
    wait_for(lambda: scheme() == "default")
    browser.run("localStorage.clear()")


def test_the_version_is_shown(browser, site):
    version = next(line.split()[1] for line in (ROOT / "galaxy.yml").read_text().splitlines() if line[:8] == "version:")
    browser.size(*WIDE)
    browser.open(site / "tutorial.html")
    beside = "return getComputedStyle(document.querySelector('.md-header__topic .md-ellipsis'), '::after').content"

    assert f"madctl {version}" in browser.text(".md-footer") and version in browser.run(beside)


def test_a_page_can_be_edited_where_somebody_says(tmp_path):
    argv = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    edit = {"MADCTL_DOCS_EDIT": "https://git.example.org/edit/docs/{path}", "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **edit}, check=True)

    links = _Links((tmp_path / "how_to/top.html").read_text()).links
    assert "https://git.example.org/edit/docs/how_to/top.md" in links
