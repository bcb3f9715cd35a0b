"""Addresses and transactions on blockchains."""

from functools import partial
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationInfo, field_validator

from protocol.messages.schema._blockchains import read_address, read_transaction
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import CodeOf, Line, Token
from protocol.messages.schema.written import AsTyped, Canonical


class CryptoAddress(Part):
    """An address on a blockchain, its check sum verified where the format has one; ``memo`` is the tag beside it.

    Services hold many customers behind one address and tell them apart by the tag (XRP, Stellar, TON).
    """

    kind: Literal["crypto_address"]
    chain: Annotated[str, CodeOf("chain")]
    address: Annotated[str, StringConstraints(max_length=512)]
    as_typed: AsTyped = None
    memo: Token | None = None
    chain_name: Line | None = None

    @field_validator("address")
    @classmethod
    def _fits_its_chain(cls, address: str, info: ValidationInfo) -> str:
        return Canonical.of(address, partial(read_address, info.data["chain"])) if "chain" in info.data else address


class Transaction(Part):
    """A transaction on a blockchain, by its hash."""

    kind: Literal["transaction"]
    chain: Annotated[str, CodeOf("chain")]
    hash: Annotated[str, StringConstraints(max_length=256)]
    as_typed: AsTyped = None

    @field_validator("hash")
    @classmethod
    def _fits_its_chain(cls, hash_: str, info: ValidationInfo) -> str:
        return Canonical.of(hash_, partial(read_transaction, info.data["chain"])) if "chain" in info.data else hash_
