"""Bank accounts and payment cards."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from protocol.messages.schema._checksums import luhn_is_valid
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import Country, Line, problem
from protocol.messages.schema.written import AsTyped, Read, compact

_LABEL = re.compile(r"^\s*(?:IBAN|BIC|SWIFT)\s*[:.]?\s+", re.IGNORECASE)
_FORM = "an IBAN begins with two letters for the country and two check digits, and has letters and digits alone"
_MASKS = "*•·#XxＸ×…"
# ISO/IEC 7812: 8 digits name the issuer since 2022, 6 before; of an account its holder may show 6 (PCI DSS 3.4).
_SHOWN_FIRST, _SHOWN_LAST = 6, 4


# --- IBAN ----------------------------------------------------------------------------------------------------


def _iban(text: str) -> str:
    from stdnum.iso7064 import mod_97_10

    number = compact(_LABEL.sub("", text))
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}", number):
        raise problem("iban", _FORM)
    if not mod_97_10.is_valid(number[4:] + number[:4]) or not "02" <= number[2:4] <= "98":
        raise problem("iban", "this is not an IBAN: its check digits (mod 97) do not fit; check for a typing error")
    _refuse_structure(number)
    return number


def _refuse_structure(number: str) -> None:
    """The structure of a country that the registry (ISO 13616, as python-stdnum has it) names."""
    from stdnum import iban
    from stdnum.exceptions import InvalidComponent, ValidationError

    try:
        iban.validate(number, check_country=False)
    except InvalidComponent:
        return  # not in our registry: asked about in _iban_is_known
    except ValidationError:
        raise problem(
            "iban", "the accounts of that country have another length or form (ISO 13616): check for a missing digit"
        ) from None


def _iban_is_known(number: str) -> None:
    from stdnum import iban
    from stdnum.exceptions import InvalidChecksum, InvalidComponent, ValidationError

    try:
        iban.validate(number, check_country=False)
    except InvalidComponent:
        raise problem(
            "iban", "the registry of IBANs (ISO 13616) has no such country; an account without IBAN is a bank_account"
        ) from None
    try:
        iban.validate(number)
    except InvalidChecksum:
        raise problem(
            "iban", "the check digits inside the account number do not fit: check for a typing error"
        ) from None
    except ValidationError:
        return  # a bank that the library does not list exists all the same


class Iban(Part):
    """A bank account by its IBAN; separators are removed, check digits and structure verified (ISO 13616)."""

    kind: Literal["iban"]
    iban: Annotated[str, StringConstraints(max_length=64), Read(_iban, _iban_is_known)]
    as_typed: AsTyped = None


# --- Accounts without IBAN -----------------------------------------------------------------------------------


def _account(text: str) -> str:
    number = re.sub(r"\s", " ", text).upper()
    if not re.fullmatch(r"[A-Z0-9](?:[A-Z0-9 ./*-]{0,46}[A-Z0-9])?", number) or not re.search("[0-9]", number):
        raise problem(
            "bank_account", "an account number has letters and digits, and separators between them: write it alone"
        )
    bare = compact(number)
    if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}", bare):
        _refuse_iban(bare)
    return bare


def _refuse_iban(number: str) -> None:
    from stdnum import iban

    if iban.is_valid(number, check_country=False):
        raise problem("bank_account", "this is an IBAN: its kind is iban")


def _bank_code(text: str) -> str:
    code = compact(text)
    if not re.fullmatch(r"[A-Z0-9]{2,16}", code):
        raise problem("bank_code", "the code of the bank or branch has 2 to 16 letters and digits: write it alone")
    return code


def _bic(text: str) -> str:
    code = compact(_LABEL.sub("", text))
    # ISO 9362. The country is left to the registry of banks: it has some that ISO 3166 has not.
    if not re.fullmatch(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", code):
        raise problem("bic", "a BIC has 8 or 11 characters, the fifth and sixth of them a country (ISO 9362)")
    return code


def _bic_is_known(code: str) -> None:
    from stdnum import bic
    from stdnum.exceptions import InvalidComponent, ValidationError

    try:
        bic.validate(code)
    except InvalidComponent:
        raise problem("bic", "the fifth and sixth letter of the BIC are no country: check for a typing error") from None
    except ValidationError:
        return  # a digit among the first four, which ISO 9362:2014 allows


class BankAccount(Part):
    """A bank account without IBAN: its number, its country, and the bank by code or name."""

    kind: Literal["bank_account"]
    country: Country
    account: Annotated[str, StringConstraints(max_length=64), Read(_account)]
    as_typed: AsTyped = None
    bank_code: Annotated[str, StringConstraints(max_length=32), Read(_bank_code)] | None = None
    bic: Annotated[str, StringConstraints(max_length=24), Read(_bic, _bic_is_known)] | None = None
    bank: Annotated[Line | None, Field(validate_default=True)] = None
    holder: Line | None = None

    @field_validator("bank_code")
    @classmethod
    def _fits_its_country(cls, code: str | None, info: ValidationInfo) -> str | None:
        if code is not None and info.data.get("country") == "US":
            from stdnum.us import rtn

            if not rtn.is_valid(code):
                raise problem(
                    "bank_code", "a routing number of the United States has 9 digits, and its check digit does not fit"
                )
        if code is not None and info.data.get("country") == "IN" and not re.fullmatch(r"[A-Z]{4}0[A-Z0-9]{6}", code):
            raise problem(
                "bank_code", "a bank code of India (IFSC) has four letters, a zero, and six letters or digits"
            )
        return code

    @field_validator("bank")
    @classmethod
    def _leads_to_a_bank(cls, bank: str | None, info: ValidationInfo) -> str | None:
        # A refused value is not among the fields, and is reported on its own.
        codes = [info.data.get(name, "refused") for name in ("bank_code", "bic")]
        if bank is None and codes == [None, None]:
            raise problem("bank", "add one of bank_code, bic and bank: an account number is one bank's own")
        return bank


# --- Payment cards -------------------------------------------------------------------------------------------


def _card(text: str) -> str:
    number = compact(re.sub(f"[{_MASKS}]", "*", text))
    if "*" in number:
        return _masked(number)
    if not re.fullmatch(r"[1-9][0-9]{11,18}", number):
        raise problem(
            "card", "a card number has 12 to 19 digits, the first of them not 0; digits that are not known are *"
        )
    if not luhn_is_valid(number):
        raise problem("card", "the check digit (Luhn), which is the last, does not fit: check for a typing error")
    return number


def _masked(number: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{3,11}\*+[0-9]{0,4}", number) or not 12 <= len(number) <= 19:
        raise problem(
            "card",
            "a masked card number shows the first 4 to 12 digits and up to 4 last ones, and one * for each between: "
            "12 to 19 in all",
        )
    return number


def masked_card(number: str) -> str:
    """A card number as it is shown where nobody needs the whole: its first six and last four digits."""
    if "*" in number:
        return number
    return number[:_SHOWN_FIRST] + "*" * (len(number) - _SHOWN_FIRST - _SHOWN_LAST) + number[-_SHOWN_LAST:]


class PaymentCard(Part):
    """A payment card, by its number: whole, or masked as receipts print it. There is no field for its security code.

    The message carries the number that the issuer needs to find the account. Every view masks it (:func:`masked_card`),
    this object's ``repr`` too; the message itself, by ``--json`` and in exports, has it whole.
    """

    kind: Literal["payment_card"]
    number: Annotated[str, StringConstraints(max_length=48), Read(_card)]
    expires: Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None = None
    issuer: Line | None = None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Masked: what ends up in a log line or traceback is not the card."""
        return [("kind", self.kind), ("number", masked_card(self.number))]
