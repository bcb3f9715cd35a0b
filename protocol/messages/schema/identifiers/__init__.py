"""Typed identifiers of what is to be preserved or asked about: the form on the wire, and what was typed beside it.

Each refuses what cannot be, with the cause and the mend. None asks anybody whether the thing exists.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from protocol.messages.schema._hosts import domain_to_ascii
from protocol.messages.schema.identifiers._account import Account
from protocol.messages.schema.identifiers._crypto import CryptoAddress, Transaction
from protocol.messages.schema.identifiers._device import AdvertisingId, Iccid, Imei, Imsi, Meid, Phone
from protocol.messages.schema.identifiers._files import FileHash, ItemHash, PgpFingerprint
from protocol.messages.schema.identifiers._network import (
    SERVER,
    Domain,
    Email,
    Host,
    IpRange,
    Ipv4,
    Ipv6,
    Mac,
    MessageId,
    Url,
)
from protocol.messages.schema.identifiers._payment import BankAccount, Iban, PaymentCard, masked_card

Identifier = Annotated[
    Ipv4
    | Ipv6
    | IpRange
    | Email
    | Phone
    | Imei
    | Meid
    | Imsi
    | Iccid
    | Mac
    | Url
    | Domain
    | Account
    | AdvertisingId
    | CryptoAddress
    | Transaction
    | Iban
    | BankAccount
    | PaymentCard
    | FileHash
    | MessageId
    | Host
    | PgpFingerprint,
    Field(discriminator="kind"),
]

__all__ = [
    "SERVER",
    "Account",
    "AdvertisingId",
    "BankAccount",
    "CryptoAddress",
    "Domain",
    "Email",
    "FileHash",
    "Host",
    "Iban",
    "Iccid",
    "Identifier",
    "Imei",
    "Imsi",
    "IpRange",
    "Ipv4",
    "Ipv6",
    "ItemHash",
    "Mac",
    "Meid",
    "MessageId",
    "PaymentCard",
    "PgpFingerprint",
    "Phone",
    "Transaction",
    "Url",
    "domain_to_ascii",
    "masked_card",
]
