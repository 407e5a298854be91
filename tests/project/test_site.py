"""The documentation as a site: it builds without a warning, has a page for each public name, and no
link leads nowhere. The notebooks run.
"""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import masklstm

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "mkdocs.yml").exists(), reason="the sources are not here"),
]


class Page(HTMLParser):
    """The links of a page, and the places that links can lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places, self.text = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="MkDocs is needed to build the site")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    assert "WARNING -" not in built.stderr
    return {path: Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}, folder


def test_every_public_name_has_a_page(site):
    pages, folder = site
    modules = ["callbacks", "data", "distributions", "layers", "losses", "metrics", "ops"]
    names = {f"masklstm.{name}" for name in masklstm.__all__}
    for module in modules:
        names |= {f"masklstm.{module}.{name}" for name in getattr(masklstm, module).__all__}
    lacking = []
    for name in sorted(names):
        path = folder / "reference" / name.replace(".", "/")
        file = path / "index.html" if path.is_dir() else path.with_suffix(".html")
        assert file in pages, name
        text = "".join(pages[file].text)
        assert name in text
        if file.name != "index.html":
            module, _, short = name.rpartition(".")
            is_tuple = hasattr(getattr(sys.modules[module], short), "_fields")
            if not (is_tuple or f"{short}(" in text) or len(text) < 500:
                lacking.append(name)
    assert not lacking, "without signature or description"


def test_no_link_leads_nowhere(site):
    pages, folder = site
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are those of the site's root
            continue
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                assert url.scheme in ("http", "https", "mailto", "data"), link
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if target.is_dir():
                target /= "index.html"
            fragment = unquote(url.fragment)
            if not target.exists():
                broken.append(f"{path.relative_to(folder)}: {link}")
            elif fragment and target in pages and fragment not in pages[target].places:
                broken.append(f"{path.relative_to(folder)}: {link} (no such place)")
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site):
    """Fonts and scripts of other hosts would tell them who reads."""
    pages, _ = site
    for page in pages.values():
        loaded = [link for link in page.links if link.startswith(("http:", "https:", "//"))]
        assert not [link for link in loaded if link.endswith((".js", ".css", ".woff2"))]


@pytest.mark.parametrize("name", sorted(path.stem for path in ROOT.glob("docs/notebooks/*.ipynb")))
def test_notebooks_run(name):
    pytest.importorskip("nbclient", reason="nbclient is needed to run notebooks")
    ran = subprocess.run(
        [sys.executable, ROOT / "docs" / "scripts" / "notebooks.py", "--check", name],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_the_way_of_a_new_user_is_short():
    """From a CSV file with gaps and stations to scores and a picture."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "three_stations.ipynb", 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for cell in cells for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= 25
    assert all(cell.outputs for cell in cells if "print" in cell.source or "plot" in cell.source)


def test_the_stations_are_what_their_script_makes(monkeypatch):
    import gzip

    monkeypatch.syspath_prepend(ROOT / "docs" / "scripts")
    import stations

    assert gzip.decompress(stations.FILE.read_bytes()).decode() == stations.text()
