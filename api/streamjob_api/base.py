"""What all models of the resource have in common."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from streamjob_api.texts import DnsName
from streamjob_api.trees import Rules

# As validation's context: only the fields are checked, because the caller checks the rules itself, all at once.
FIELDS_ONLY = object()

Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]


class Part(BaseModel):
    """A part of the resource: names in camel case, no unknown field, no change once it is made."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )


class NameRef(Part):
    """A reference to an object of the same namespace, by name."""

    name: DnsName = Field(description="The object's name.")


class Ruled(Part):
    """A part with rules over more than one of its fields."""

    _rules: ClassVar[Rules]

    @model_validator(mode="after")
    def _keep_rules(self, info: ValidationInfo) -> Self:
        if info.context is not FIELDS_ONLY:
            broken = [str(b) for b in type(self)._rules(self.model_dump(exclude_none=True))]
            if broken:
                raise PydanticCustomError("rule", "{text}", {"text": "; ".join(broken)})
        return self


def only(model: BaseModel, kinds: Iterable[str]) -> str:
    """The one of these fields that is set; the rules have seen to it that there is one."""
    return next(kind for kind in kinds if getattr(model, kind) is not None)
