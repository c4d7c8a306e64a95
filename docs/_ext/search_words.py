"""Words that people search for, and the page that each should find first.

A page whose title lacks the word gets it as an index entry, which the search ranks above all else, so the words need
not be forced into the text. ``python docs/check_search.py`` asks the search of the built pages for each word.
"""

from sphinx.addnodes import index
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

#: The page that answers the question behind a word.
WORDS: dict[str, str] = {
    "429": "howto/money",
    "API key": "howto/keys",
    "batch": "howto/batches",
    "browser": "howto/browser",
    "cancel": "howto/waiting",
    "cancellation": "howto/waiting",
    "concurrency": "howto/batches",
    "cost": "howto/money",
    "cron": "howto/schedules",
    "curl": "howto/serve",
    "deadline": "howto/waiting",
    "download": "howto/files",
    "environment variables": "reference/command-line",
    "error handling": "reference/errors",
    "exceptions": "reference/errors",
    "fuzz": "howto/fuzzing",
    "headers": "howto/options",
    "idempotency": "howto/money",
    "install": "tutorial",
    "logging": "howto/observability",
    "metrics": "howto/observability",
    "mock": "howto/testing",
    "OpenTelemetry": "howto/observability",
    "poll": "howto/waiting",
    "polling": "howto/waiting",
    "Prometheus": "howto/observability",
    "proxy": "howto/proxies",
    "pydantic": "howto/structured-output",
    "pytest": "howto/testing",
    "quickstart": "tutorial",
    "rate limit": "howto/money",
    "record": "howto/recording",
    "resume": "howto/streams",
    "retries": "howto/money",
    "retry": "howto/money",
    "save": "howto/files",
    "schedule": "howto/schedules",
    "SSE": "howto/streams",
    "SSL": "howto/proxies",
    "stream": "howto/streams",
    "structured output": "howto/structured-output",
    "time zone": "howto/schedules",
    "timeout": "howto/waiting",
    "timeouts": "howto/waiting",
    "TLS": "howto/proxies",
    "trio": "howto/sans-io",
    "upload": "howto/files",
    "wait": "howto/waiting",
    "wait until finished": "howto/waiting",
    "waiting": "howto/waiting",
    "webhook": "howto/webhooks",
}


class IndexWords(SphinxTransform):
    """Add index entries to the beginning of a page."""

    default_priority = 700  # before the domains read the page, at 850

    def apply(self, **settings: object) -> None:
        """Add them."""
        name = self.env.current_document.docname
        words = [word for word, page in WORDS.items() if page == name]
        sections = list(self.document.findall(lambda node: node.tagname == "section"))
        if words and sections:
            target = sections[0]["ids"][0]
            sections[0].insert(1, index(entries=[("single", word, target, "main", None) for word in words]))


def check_words(app: Sphinx, env: object, names: object) -> None:
    """Warn about words without a page."""
    for word, page in WORDS.items():
        if page not in app.env.found_docs:
            logger.warning("no page for %r: %s does not exist", word, page, type="search_words")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the transform."""
    app.add_transform(IndexWords)
    app.connect("env-before-read-docs", check_words)
    return {"parallel_read_safe": True}
