"""The bootstrap file: the one file a new desk or node is given, over a channel that is trusted for other reasons.

It is public, but whoever can replace it chooses the federation: compare its fingerprint by telephone.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tuf.api.metadata import Root

from keys.directory.cards import Binary, HttpsUrl, Line, NodeName
from keys.directory.metadata.repository import MAX_ROOT_BYTES, parse_metadata
from keys.local.strict_json import require_unique_members
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import DirectoryUntrustedError, MalformedError, TooLargeError

MAX_BUNDLE_BYTES = 4 * 1_048_576
MAX_BUNDLE_ITEMS = 10_000
SCHEMA = "comity/bootstrap/1"


class BootstrapFile(BaseModel):
    """Federation name, trusted root metadata, and the first node to ask: its name, URL and TLS certificates."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_name: Literal["comity/bootstrap/1"] = Field(default="comity/bootstrap/1", alias="schema")
    federation: Line
    root: Annotated[Binary, Field(max_length=MAX_ROOT_BYTES)]
    node: NodeName
    url: HttpsUrl
    tls_certificates: Annotated[
        tuple[Annotated[Binary, Field(max_length=4_096)], ...], Field(min_length=1, max_length=4)
    ]

    def to_bytes(self) -> bytes:
        """The JSON file."""
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Self:
        """Read the JSON file; raises :class:`MalformedError`, :class:`TooLargeError` or, for a root that does not
        verify under its own keys, :class:`DirectoryUntrustedError`."""
        if len(encoded) > MAX_BUNDLE_BYTES:
            raise TooLargeError(f"a bootstrap file has at most {MAX_BUNDLE_BYTES} bytes")
        require_few_items(encoded, MAX_BUNDLE_ITEMS)
        require_unique_members(encoded)
        try:
            bundle = cls.model_validate_json(encoded)
        except ValidationError as problem:
            where = ", ".join(".".join(map(str, error["loc"])) for error in problem.errors(include_input=False))
            raise MalformedError(f"the bootstrap file is not valid: {where}") from None
        check_root(bundle.root)
        return bundle


def check_root(encoded: bytes) -> None:
    """Return if root metadata is signed by its own threshold; raises :class:`DirectoryUntrustedError`."""
    root = parse_metadata(encoded, Root)
    if not root.signed.get_verification_result(Root.type, root.signed_bytes, root.signatures):
        raise DirectoryUntrustedError("the root metadata is not signed by enough of its own holders")
