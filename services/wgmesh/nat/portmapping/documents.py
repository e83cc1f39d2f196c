"""XML of a device that may be hostile: bounded, without document types and so without entities of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from wgmesh.core.errors import MalformedMessage

DEPTH_MAX = 24  # a description nests three devices, about twelve deep
ELEMENTS_MAX = 2000  # the longest descriptions of real devices have some hundreds
TEXT_MAX = 1024


@dataclass(slots=True)
class Element:
    """An element by its name without its namespace, with its own text."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def text_of(self, name: str) -> str:
        """The text of the first child of this name, empty where there is none."""
        return next((child.text.strip() for child in self.children if child.name == name), "")


def parse(data: bytes) -> tuple[Element, ...]:
    """Returns all elements in the order in which they begin. Raises MalformedMessage."""
    found: list[Element] = []
    opened: list[Element] = []

    def refuse(*_: object) -> None:
        raise MalformedMessage("XML with a document type")

    def start(name: str, _: object) -> None:
        if len(opened) >= DEPTH_MAX or len(found) >= ELEMENTS_MAX:
            raise MalformedMessage("XML that is too deep or too long")
        element = Element(name.rpartition(":")[2])
        if opened:
            opened[-1].children.append(element)
        opened.append(element)
        found.append(element)

    def end(_: str) -> None:
        opened.pop()

    def text(piece: str) -> None:
        if opened:
            opened[-1].text = (opened[-1].text + piece)[:TEXT_MAX]

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last ones: an encoding that nobody knows
        raise MalformedMessage(f"no XML: {error}") from None
    return tuple(found)
