"""Identifiers of devices, SIM cards and subscriptions."""

import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints, field_validator

from protocol.messages.schema._checksums import luhn_is_valid
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import problem
from protocol.messages.schema.written import AsTyped, Read, compact


def _phone(text: str) -> str:
    if re.search(r"\(0\)", text):
        raise problem("phone", "leave out (0): it is dialled within the country only")
    if text.lower().startswith("tel:"):
        raise problem("phone", "leave out tel:")
    digits = re.sub(r"[()]", "", compact(text))
    if digits.startswith("00"):
        raise problem("phone", "write + in place of the international prefix 00")
    if not digits.startswith("+"):
        raise problem(
            "phone", "write the number in E.164, with + and the country code: without it, it is of any country"
        )
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", digits):
        raise problem("phone", "write the number in E.164: + and 7 to 15 digits, without extension")
    return digits


def _phone_is_known(number: str) -> None:
    import phonenumbers  # 5 MB of numbering plans: only when there is a number

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        raise problem("phone", "no country has this country code (ITU-T E.164)") from None
    if not phonenumbers.is_possible_number(parsed):
        raise problem("phone", "the numbers of that country are longer or shorter than this: check for a missing digit")


def _imei(text: str) -> str:
    digits = compact(text)
    if re.fullmatch(r"[A-F][0-9A-F]{13,14}", digits):
        raise problem("imei", "this is a MEID: its kind is meid")
    if not re.fullmatch(r"[0-9]{14,16}", digits):
        raise problem(
            "imei", "an IMEI has 14 digits, 15 with its check digit, or 16 with the version of its software (IMEISV)"
        )
    if len(set(digits)) == 1:
        raise problem("imei", "one digit all over is a placeholder that many devices show: nobody can be found by it")
    # Networks send 0 in place of the check digit (3GPP TS 23.003 §6.2.1).
    if len(digits) == 15 and digits[-1] != "0" and not luhn_is_valid(digits):
        raise problem(
            "imei",
            "the check digit (Luhn), which is the last of 15, does not fit: check for a typing error; in the logs of a "
            "network the last may be another, then write the first 14",
        )
    return digits


def _meid(text: str) -> str:
    from stdnum import meid
    from stdnum.exceptions import InvalidChecksum, ValidationError

    digits = compact(text)
    if re.fullmatch(r"[0-9]{14,16}", digits):
        raise problem("meid", "a number of 14 to 16 decimal digits is an IMEI: its kind is imei")
    try:
        meid.validate(digits)
        found = str(meid.compact(digits))
    except InvalidChecksum:
        raise problem("meid", "the check digit of the MEID does not fit: check for a typing error") from None
    except ValidationError:
        found = ""
    if not re.fullmatch(r"[A-F][0-9A-F]{13}|99[0-9A-F]{12}", found):
        raise problem("meid", "a MEID has 14 hexadecimal digits, the first of them A to F, or 18 decimal digits")
    return found


def _imsi(text: str) -> str:
    digits = compact(text)
    if not re.fullmatch(r"[0-9]{14,15}", digits):
        raise problem("imsi", "an IMSI has 14 or 15 digits")
    # ITU-T E.212: 2 to 7 are geographic zones, 9 is international; 001 and 999 are networks for tests and of firms.
    if digits[0] not in "234567" and digits[:3] not in {"001", "901", "999"}:
        raise problem(
            "imsi", "no country or network has these first three digits (ITU-T E.212): check for a typing error"
        )
    return digits


def _imsi_is_known(digits: str) -> None:
    from stdnum import imsi

    if not imsi.is_valid(digits):
        raise problem(
            "imsi", "no country or network has these first three digits (ITU-T E.212): check for a typing error"
        )


def _iccid(text: str) -> str:
    # A card stores the number in half bytes and fills the last with F.
    digits = re.sub("F{1,2}$", "", compact(text))
    if not re.fullmatch(r"89[0-9]{4}[0-9A-F]{12,14}", digits):
        raise problem(
            "iccid",
            "an ICCID begins with 89 and has 18 to 20 digits (some networks have letters A to F): write all of it",
        )
    if len(digits) > 18 and digits.isdecimal() and not luhn_is_valid(digits):
        raise problem("iccid", "the check digit (Luhn), which is the last, does not fit: check for a typing error")
    return digits


class Phone(Part):
    """A telephone number in E.164; spaces, hyphens and brackets are read, none are written."""

    kind: Literal["phone"]
    number: Annotated[str, StringConstraints(max_length=48), Read(_phone, _phone_is_known)]
    as_typed: AsTyped = None


class Imei(Part):
    """The identity of a device: 14 digits, 15 with check digit (or the 0 that networks send), 16 with IMEISV."""

    kind: Literal["imei"]
    imei: Annotated[str, StringConstraints(max_length=48), Read(_imei)]
    as_typed: AsTyped = None


class Meid(Part):
    """The identity of a CDMA device: 14 hexadecimal digits; 18 decimal ones, and a check digit, are read."""

    kind: Literal["meid"]
    meid: Annotated[str, StringConstraints(max_length=48), Read(_meid)]
    as_typed: AsTyped = None


class Imsi(Part):
    """The identity of a subscription (ITU-T E.212)."""

    kind: Literal["imsi"]
    imsi: Annotated[str, StringConstraints(max_length=48), Read(_imsi, _imsi_is_known)]
    as_typed: AsTyped = None


class Iccid(Part):
    """The number of a SIM card (ITU-T E.118); some networks have letters in it."""

    kind: Literal["iccid"]
    iccid: Annotated[str, StringConstraints(max_length=48), Read(_iccid)]
    as_typed: AsTyped = None


class AdvertisingId(Part):
    """An advertising identifier of a device."""

    kind: Literal["advertising_id"]
    platform: Literal["android", "apple", "amazon", "other"]
    id: UUID

    @field_validator("id")
    @classmethod
    def _is_not_opted_out(cls, value: UUID) -> UUID:
        if value.int == 0:
            raise problem("advertising_id", "the all-zero identifier means that tracking is off: it is shared by many")
        return value
