"""Words that people search for, and the page that each should find first.

A page whose title lacks the word gets it as an index entry, which the search ranks above all else, so the words need
not be forced into the text. ``python docs/check_search.py`` asks the search of the built pages for each word.
"""

from collections.abc import Collection

from sphinx.addnodes import index
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

#: The pages that answer the question behind a word. Of several, the first that exists.
WORDS: dict[str, tuple[str, ...]] = {
    "429": ("howto/money", "explanation/reliability"),
    "API key": ("howto/keys", "howto/options"),
    "batch": ("howto/batches",),
    "browser": ("howto/browser", "howto/webhooks"),
    "cancel": ("howto/waiting", "howto/tasks"),
    "cancellation": ("howto/waiting", "howto/tasks"),
    "concurrency": ("howto/batches",),
    "cost": ("howto/money", "howto/options"),
    "cron": ("howto/schedules", "howto/tasks"),
    "curl": ("howto/serve", "howto/testing"),
    "deadline": ("howto/waiting", "howto/tasks"),
    "download": ("howto/files",),
    "environment variables": ("reference/command-line",),
    "error handling": ("reference/errors",),
    "exceptions": ("reference/errors",),
    "fuzz": ("howto/fuzzing", "howto/testing"),
    "headers": ("howto/options",),
    "idempotency": ("howto/money", "explanation/reliability"),
    "install": ("tutorial", "index"),
    "logging": ("howto/observability",),
    "metrics": ("howto/observability",),
    "mock": ("howto/testing",),
    "OpenTelemetry": ("howto/observability",),
    "poll": ("howto/waiting", "howto/tasks"),
    "polling": ("howto/waiting", "howto/tasks"),
    "Prometheus": ("howto/observability",),
    "proxy": ("howto/proxies",),
    "pydantic": ("howto/structured-output",),
    "pytest": ("howto/testing",),
    "quickstart": ("tutorial", "index"),
    "rate limit": ("howto/money", "explanation/reliability"),
    "record": ("howto/recording", "howto/vcrpy"),
    "resume": ("howto/streams", "explanation/reliability"),
    "retries": ("howto/money", "explanation/reliability"),
    "retry": ("howto/money", "explanation/reliability"),
    "save": ("howto/files",),
    "schedule": ("howto/schedules", "howto/tasks"),
    "SSE": ("howto/streams", "explanation/sse-parser"),
    "SSL": ("howto/proxies",),
    "stream": ("howto/streams", "reference/streams"),
    "structured output": ("howto/structured-output",),
    "time zone": ("howto/schedules", "howto/tasks"),
    "timeout": ("howto/waiting", "explanation/reliability"),
    "timeouts": ("howto/waiting", "explanation/reliability"),
    "TLS": ("howto/proxies",),
    "trio": ("howto/sans-io",),
    "upload": ("howto/files",),
    "wait": ("howto/waiting", "howto/tasks"),
    "wait until finished": ("howto/waiting", "howto/tasks"),
    "waiting": ("howto/waiting", "howto/tasks"),
    "webhook": ("howto/webhooks",),
}


def page_of(word: str, pages: Collection[str]) -> str:
    """Return the page that a word should find.

    Raises:
        LookupError: There is none of them.
    """
    for page in WORDS[word]:
        if page in pages:
            return page
    raise LookupError(f"no page for {word!r}: {', '.join(WORDS[word])} do not exist")


class IndexWords(SphinxTransform):
    """Add index entries to the beginning of a page."""

    default_priority = 700  # before the domains read the page, at 850

    def apply(self, **settings: object) -> None:
        """Add them."""
        name = self.env.current_document.docname
        words = [word for word in WORDS if name in WORDS[word] and name == page_of(word, self.env.found_docs)]
        sections = list(self.document.findall(lambda node: node.tagname == "section"))
        if words and sections:
            target = sections[0]["ids"][0]
            sections[0].insert(1, index(entries=[("single", word, target, "main", None) for word in words]))


def check_words(app: Sphinx, env: object, names: object) -> None:
    """Warn about words without a page."""
    for word in WORDS:
        try:
            page_of(word, app.env.found_docs)
        except LookupError as error:
            logger.warning("%s", error, type="search_words")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the transform."""
    app.add_transform(IndexWords)
    app.connect("env-before-read-docs", check_words)
    return {"parallel_read_safe": True}
