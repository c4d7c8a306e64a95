"""Classes for structured output, of each kind, with each type that has a schema of its own."""

import dataclasses
import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, Required, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Price:
    """The price of a tent."""

    amount: float
    currency: Literal["EUR", "USD"] = "EUR"


@attrs.define
class Tent:
    name: str
    price: Price
    weight_kg: float | None = None
    colours: list[Colour] = attrs.field(factory=list)
    best: Price = attrs.field(factory=lambda: Price(1))


@dataclasses.dataclass
class Node:
    value: int
    children: list["Node"] = dataclasses.field(default_factory=list)
    parent: Optional["Node"] = None
    links: dict[str, "Node"] = dataclasses.field(default_factory=dict)


class Options(TypedDict, total=False):
    mode: Required[Literal["fast", 2] | None]
    size: tuple[int, str, Level]
    empty: tuple[()]
    ratios: tuple[float, ...]


class Point(NamedTuple):
    x: int
    y: int = 0


class Cat(msgspec.Struct, tag=True, forbid_unknown_fields=True, rename="camel"):
    life_count: int


class Dog(msgspec.Struct, tag="hound", array_like=False):
    """A dog."""

    tricks: frozenset[str] = frozenset()


class Line(msgspec.Struct, array_like=True):
    begin: Point
    end: Point = Point(0)
    name: str = ""


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    by_number: dict[int, T]
    by_colour: dict[Colour, int]
    by_level: dict[Level, bool]
    by_word: dict[Literal["a", "b"], Any]


@dataclasses.dataclass
class Scalars:
    flag: bool
    nothing: None
    anything: Any
    union: int | str | list[bool] | None
    animal: Cat | Dog | None
    line: Line
    lines: tuple[Line, Line]
    page: Page[Point]
    positive: Annotated[int, msgspec.Meta(gt=0, le=9, description="a digit")]
    third: Annotated[float, msgspec.Meta(ge=-1, lt=4, multiple_of=0.5)]
    word: Annotated[str, msgspec.Meta(min_length=1, max_length=3, pattern="^[ab]*c?$")]
    few: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)]
    named: Annotated[dict[Annotated[str, msgspec.Meta(max_length=2)], int], msgspec.Meta(max_length=2)]
    described: Annotated[Price, msgspec.Meta(description="what it costs")]
    data: bytes


@dataclasses.dataclass
class Times:
    instant: datetime
    aware: Annotated[datetime, msgspec.Meta(tz=True)]
    day: date
    clock: time
    length: timedelta
    id: UUID
    amount: Decimal
    days: dict[date, Decimal] = dataclasses.field(default_factory=dict)


class Pole(pydantic.BaseModel):
    length: float


class Model(pydantic.BaseModel):
    """A model of pydantic."""

    name: str
    size: tuple[int, str]
    when: datetime
    pole: Annotated[Pole, pydantic.Field(description="in the middle")]
    level: Level = Level.LOW
    colour: Annotated[Colour, pydantic.Field(description="of the outside")] = Colour.RED
    next: Optional["Model"] = None
    odd_name: dict[str, float] = pydantic.Field(default_factory=dict, alias="$ref")


class Pets(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    class Cat(pydantic.BaseModel):
        kind: Literal["cat"]
        born: date

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"]

    pets: list[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]
