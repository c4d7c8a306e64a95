"""`UNSET`: "left out", for arguments where None is sent as null."""

from enum import Enum
from typing import Final, Literal, TypeAlias

__all__ = ["UNSET", "Unset", "UnsetType"]


class UnsetType(Enum):
    """The class of `UNSET`, an enum so that type checkers tell it from other values."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


#: The default of an argument that is left out of a JSON body, unlike None, which is sent as null. A query has no null.
UNSET: Final = UnsetType.UNSET
Unset: TypeAlias = Literal[UnsetType.UNSET]
