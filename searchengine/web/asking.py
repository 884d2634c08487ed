"""The bodies of requests: what a client may ask, bounded, and nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)

from searchengine.filters import Circle, Filters, Orientation, format_of, parse_after, parse_before

MOST_TEXT = 20_000  # characters
MOST_TYPED = 4000  # of them in an address
MOST_IN_ADDRESS = 4_000
MOST_PARTS = 32
MOST_MARKS = 64
MOST_HITS = 200  # on a page
LARGEST_ID = 2**63 - 1  # that the catalog takes

Text = Annotated[str, Field(max_length=MOST_TEXT)]
Something = Annotated[str, Field(max_length=MOST_TEXT, pattern=r"\S")]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Weight = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
IndexName = Annotated[str | None, Field(max_length=300, description="null for the default one")]
Limit = Annotated[int, Field(ge=1, le=MOST_HITS)]
Cursor = Annotated[str | None, Field(max_length=300, description="`next` of the page before")]


def _any_text(value: Any) -> str:
    # A folder's name that is not UTF-8 has lone surrogates, which pydantic's own `str` refuses.
    if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT or "\0" in value:
        raise ValueError("it should be a string, not empty, and without NUL")
    return value


Folder = Annotated[
    str,
    PlainValidator(_any_text),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": "^[^\0]*$"}),
]


class Body(BaseModel):
    """A body: no conversions, and no fields but these."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(Body):
    """Words that describe pictures."""

    text: Something
    weight: Weight = 1.0


class ImagePart(Body):
    """An indexed image as an example."""

    id: Id
    weight: Weight = 1.0


class UploadPart(Body):
    """An uploaded picture as an example."""

    upload: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    weight: Weight = 1.0


def _kind(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Body) else ()
    return next((kind for kind in ("text", "id", "upload") if kind in keys), None)


PartBody = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("id")]
    | Annotated[UploadPart, Tag("upload")],
    Discriminator(
        _kind, custom_error_type="part", custom_error_message="give one of text, id and upload"
    ),
]
Parts = Annotated[list[PartBody], Field(max_length=MOST_PARTS)]
Marks = Annotated[list[Id], Field(max_length=MOST_MARKS)]


class CircleBody(Body):
    """All places at most `km` from one."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    km: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]

    def circle(self) -> Circle:
        """The same in the engine's words."""
        return Circle(self.latitude, self.longitude, self.km)


class FiltersBody(Body):
    """Which images may be answers; a part that is null lets every image pass."""

    after: Annotated[str, Field(max_length=40), AfterValidator(parse_after)] | None = None
    before: Annotated[str, Field(max_length=40), AfterValidator(parse_before)] | None = None
    camera: Something | None = None
    lens: Something | None = None
    near: CircleBody | None = None
    folder: Folder | None = None
    types: Annotated[list[Annotated[str, Field(max_length=20)]], Field(max_length=32)] = []
    min_bytes: Annotated[int, Field(ge=0, le=LARGEST_ID)] | None = None
    min_width: Annotated[int, Field(ge=0, le=LARGEST_ID)] | None = None
    orientation: Orientation | None = None
    captioned: bool | None = None

    def filters(self) -> Filters:
        """The same in the engine's words.

        Raises:
            QueryError: there is no such format.
        """
        near = self.near.circle() if self.near else None
        kept = self.model_dump(exclude={"near", "types"})
        types = tuple(dict.fromkeys(format_of(each) for each in self.types))
        return Filters(near=near, types=types, **kept)


class SearchBody(Body):
    """A search; with nothing to search for, the images are browsed, newest first."""

    index: IndexName = None
    text: Text | None = None
    plus: Parts = []
    minus: Parts = []
    more: Marks = []
    less: Marks = []
    filters: FiltersBody = FiltersBody()
    min_relevance: Literal["strong", "likely"] | None = None
    semantic_only: bool = False
    raw: bool = False
    collapse: bool = True
    diverse: bool = False
    sort: Literal["relevance", "date"] = "relevance"
    group: Literal["day", "folder"] | None = None
    limit: Limit = 60
    cursor: Cursor = None


class FacetsBody(Body):
    """Of which images to count the kinds."""

    index: IndexName = None
    filters: FiltersBody = FiltersBody()


class PageQuery(BaseModel):
    """Which page, of what length, of which index; in an address."""

    model_config = ConfigDict(extra="forbid")

    index: IndexName = None
    limit: Limit = 60
    cursor: Cursor = None


class TextQuery(PageQuery):
    """A search for what is typed into the box."""

    q: Annotated[str, Field(max_length=MOST_TYPED)] = ""
