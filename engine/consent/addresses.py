"""Addresses: what is usable, what two ways of writing one have in common, and the keyed hash for it. Pure."""

from __future__ import annotations

import hmac
import re
import unicodedata
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from engine.errors import BadInput
from engine.project import ChannelKind

_LONGEST_EMAIL, _LONGEST_LOCAL, _LONGEST_HANDLE = 254, 64, 255
#: What stands before the `@` of nearly every address: a dot-atom of RFC 5322, in ASCII.
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
#: Numbers that bill who is called, or that no person holds.
_NO_PERSONS = (phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST)


@lru_cache(maxsize=4096)
def normalise(kind: ChannelKind, address: str) -> str:
    """The form in which equal addresses of a channel kind are equal; BadInput where the address is none.

    Email: case and width folded, the domain as ASCII; a `+tag` is part of the address. SMS: E.164, from a number with
    its country code (`+34 600 111 222`). Chat: the handle as it is, without space around it.
    """
    match kind:
        case "email":
            return _email(address)
        case "sms":
            return _number(address)
        case "chat":
            return _handle(address)


def address_hash(project_key: bytes, kind: ChannelKind, address: str) -> str:
    """Keyed hash (64 hex digits) of the normal form: who holds it, but not the project's key, cannot test a guess.

    What has no normal form (a hand-written inbox, say) is hashed folded and without space around it.
    """
    try:
        normal = normalise(kind, address)
    except BadInput:
        normal = _folded(address)
    return hmac.digest(project_key, f"{kind}:{normal}".encode(errors="surrogatepass"), "sha256").hex()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _email(address: str) -> str:
    address = address.strip()
    local, _, domain = address.rpartition("@")
    if _PLAIN_LOCAL.fullmatch(local):
        # Nothing is left to ask but whether the domain is one, and of domains there are few.
        local, domain = local.lower(), _domain(domain)
    else:
        valid = _valid(address)
        local, domain = _folded(valid.local_part), valid.ascii_domain.casefold()
    normal = f"{local}@{domain}"
    if len(local.encode()) > _LONGEST_LOCAL or len(normal.encode()) > _LONGEST_EMAIL:
        raise BadInput(f"the email address is too long: {_LONGEST_LOCAL} bytes before the @, {_LONGEST_EMAIL} in all")
    return normal


@lru_cache(maxsize=1024)
def _domain(domain: str) -> str:
    return _valid(f"name@{domain}").ascii_domain.casefold()


def _valid(address: str) -> ValidatedEmail:
    try:
        # The validator's own test mode, for `.test` domains: nothing is ever asked of the network here.
        return validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as problem:
        # The validator's words may quote characters of the address, so they are not passed on.
        raise BadInput("this is no email address: write it like name@shop.example") from problem


def _number(address: str) -> str:
    text = _folded(address).removeprefix("tel:")
    try:
        # Without a country code the same digits are different people's: no region is ever guessed.
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as problem:
        raise BadInput("this is no phone number: write it with its country code, like +34600111222") from problem
    if number.extension:
        raise BadInput("a phone number with an extension takes no messages: leave the extension out")
    # Possible, not valid: the plans' own tables lag behind new ranges, and hold no numbers set apart for examples.
    if not phonenumbers.is_possible_number(number):
        raise BadInput("this phone number has too many or too few digits for its country")
    if phonenumbers.number_type(number) in _NO_PERSONS:
        raise BadInput("this is a premium-rate number: messages go to persons")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _handle(address: str) -> str:
    handle = address.strip()
    if not handle or len(handle) > _LONGEST_HANDLE or not handle.isprintable():
        raise BadInput(f"a chat handle is printable text of 1 to {_LONGEST_HANDLE} characters")
    return handle
