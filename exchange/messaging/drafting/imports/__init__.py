"""What others export of who did what when, read into identifiers: one file a format, found out by looking.

It never guesses a time zone, a day or a protocol, and never drops anything without saying how many and what.
"""

from exchange.messaging.drafting.imports._detection import FORMATS, detect, read_export
from exchange.messaging.drafting.imports._found import Export, Found, split_address
from exchange.messaging.drafting.imports._times import NO_ZONE, WHICH_DAY, WHICH_ZONE, ReadTime, Times, parse_zone

__all__ = [
    "FORMATS",
    "NO_ZONE",
    "WHICH_DAY",
    "WHICH_ZONE",
    "Export",
    "Found",
    "ReadTime",
    "Times",
    "detect",
    "parse_zone",
    "read_export",
    "split_address",
]
