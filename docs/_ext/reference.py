"""The reference pages: what autodoc shows of each public name, and directives for what it cannot show.

Classes are shown at their public paths. The arguments of attrs classes and exceptions are their attributes: each is
described once, with its type and its default. ``.. public-data::`` describes a constant or a type alias, and
``.. errors-tree::`` draws the tree of exceptions.
"""

import functools
import inspect
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import public
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from handinger_async import errors

NAPOLEON = Config(napoleon_use_rtype=False)


class Docstring(GoogleDocstring):
    """A docstring in which colons have no meaning but after the names of arguments: types are in signatures."""

    def _consume_returns_section(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
        return [("", "", self._dedent(self._consume_to_next_section()))]


# Output of autodoc ####################################################################################################


def process_docstring(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Write a docstring in reStructuredText, with the attributes of classes."""
    text = "\n".join(lines)
    if isinstance(value, type):
        text = public.without_entries(value, text)
    kind = "method" if what == "property" else what  # of a property, the first words may be taken for its type
    parsed = Docstring(text.splitlines(), NAPOLEON, app, kind, name, value, options).lines()
    lines[:] = [*parsed, ""]
    if isinstance(value, type):
        for attribute in public.attributes(value):
            lines += describe(value, attribute)


def describe(cls: type, attribute: public.Attribute) -> Iterator[str]:
    """Yield the lines of an attribute."""
    yield f".. py:attribute:: {attribute.name}"
    kind = public.linked(attribute.type, cls.__module__) if attribute.type else ""
    if kind:
        yield f"   :type: {kind}"
    if attribute.default is not None:
        yield f"   :value: {attribute.default}"
    yield from ("", f"   {attribute.text}", "")


def process_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, result: str | None
) -> tuple[str, str] | None:
    """Return arguments and result with public names and plain defaults."""
    forget_overloads(value)
    if isinstance(value, type):
        if arguments is None or not value.__module__.startswith("handinger_async"):
            return None
        return public.class_signature(value), ""
    if what not in ("function", "method") or arguments is None:
        return None
    try:
        return public.signature(value, bound=what == "method" and not isinstance(inspect_static(name), staticmethod))
    except (OSError, LookupError):  # the source is not that of the function
        return None


def forget_overloads(value: Any) -> None:
    """Have autodoc show one signature of a session's methods. Their overloads differ in the type of one argument."""
    module = getattr(value, "__module__", None) or ""
    if module.startswith("handinger_async.resources"):
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        analyzer.overloads.clear()


def inspect_static(name: str) -> object:
    """Return a member of a public class as it is in the class."""
    path, _, member = name.rpartition(".")
    return inspect.getattr_static(public.public_names().get(path), member, None)


def skip_member(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Skip the members that the description of the class has."""
    of_class = what in ("class", "exception") and (isinstance(value, type) or inspect.ismemberdescriptor(value))
    return True if of_class else None


# References ###########################################################################################################


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Resolve a reference to the module that defines a public name, or to a member of such a class."""
    target = node.get("reftarget", "")
    if target.startswith("builtins."):
        return content
    words = target.split(".")
    for end in range(len(words), 0, -1):
        path = public_paths().get(".".join(words[:end]))
        if path is not None:
            found = ".".join([path, *words[end:]])
            python = env.domains.python_domain
            return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], found, node, content)  # type: ignore[arg-type]
    return None


@functools.cache
def public_paths() -> dict[str, str]:
    """Return the public paths by the places of the definitions, where these are others."""
    homes = {".".join(filter(None, public.home(path))): path for path in public.public_names()}
    return {place: path for place, path in homes.items() if place != path}


def search_annotations_exactly(app: Sphinx, document: nodes.document) -> None:
    """Make references in annotations exact. Sphinx also takes the last word of any path, such as ``Worker.object``."""
    for node in document.findall(pending_xref):
        if node.get("refspecific") is False:
            del node["refspecific"]


# Directives ###########################################################################################################


class PublicData(SphinxDirective):
    """Describe a constant or a type alias: its value, and the comment at its definition or the content."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"no-value": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the description."""
        (path,) = self.arguments
        comment, value = public.definition(path)
        module, _ = public.home(path)
        alias = re.search(r"\.[A-Z][a-z]\w*$", path)
        outer, _, name = path.rpartition(".")
        lines = [f".. py:{'type' if alias else 'data'}:: {name}", f"   :module: {outer}"]
        if alias:
            lines.append(f"   :canonical: {public.linked(value, module)}")
        elif "no-value" not in self.options:
            lines.append(f"   :value: {value}")
        lines += ["", *(f"   {line}" for line in self.content or [comment])]
        return self.parse_text_to_nodes("\n".join(lines))


def tree(cls: type[BaseException], depth: int = 0) -> Iterator[str]:
    """Yield a nested list of an exception and those derived from it."""
    others = [f"``{base.__name__}``" for base in cls.__bases__ if not base.__module__.startswith("handinger_async")]
    also = f" (also {' and '.join(others)})" if others and depth else ""
    when = (inspect.getdoc(cls) or "").partition("\n")[0]
    own = [attribute.name for attribute in public.attributes(cls)]
    own += [name for name, member in vars(cls).items() if isinstance(member, property)]
    carries = f" It has {', '.join(f'``.{name}``' for name in own)}." if own else ""
    indent = "  " * depth
    yield from ("", f"{indent}- `{cls.__name__} <handinger_async.{cls.__name__}>`{also}: {when}{carries}", "")
    for derived in cls.__subclasses__():  # in the order of their definitions
        if derived.__module__ == errors.__name__:
            yield from tree(derived, depth + 1)


class ErrorsTree(SphinxDirective):
    """Draw the tree of exceptions."""

    def run(self) -> list[nodes.Node]:
        """Return a nested list."""
        self.env.note_dependency(str(inspect.getsourcefile(errors)))
        return self.parse_text_to_nodes("\n".join(tree(errors.HandingerError)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect to autodoc, and add the directives."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("doctree-read", search_annotations_exactly)
    app.connect("missing-reference", resolve, priority=400)  # before that of built-in types
    app.add_directive("public-data", PublicData)
    app.add_directive("errors-tree", ErrorsTree)
    return {"parallel_read_safe": True}
