"""The way of a message from node to node, and of a bundle by hand."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import UnavailableError


class RouteError(ComityError):
    """The message has no recipient that this node serves or can reach."""

    code = "no-route"
    http_status = 422
    advice = "Check the recipients' addresses in the directory."


class NotOnRouteError(RouteError):
    """By the directory, this partner must send the message to another node."""

    code = "not-on-route"
    http_status = 403
    advice = "Refresh the directory; hand the message to the node that it names."


class RelayLoopError(RouteError):
    """The relays that the cards name lead back to a node that was passed before."""

    code = "relay-loop"
    advice = "Some node cards name each other as relay. Ask their nations to correct the cards."


class TooManyHopsError(RouteError):
    """The way to the recipient's node has more hops than the protocol allows."""

    code = "too-many-hops"
    advice = "Tell the recipient's nation to name a relay that is nearer."


class ReceiptPendingError(UnavailableError):
    """It is stored, but there is no receipt yet."""

    code = "receipt-pending"
    advice = "It is stored. Send it once more to get the receipt."


class NotRecordedError(UnavailableError):
    """This node could not write down what a partner answered. The fault is its own; the partner did its part."""

    code = "not-recorded"
    advice = "Look at this node's disk (comity-node health); what is not recorded is asked for again."


class BundleTruncatedError(ComityError):
    """The bundle's file is shorter than it says: its end is missing."""

    code = "bundle-truncated"
    http_status = 422
    advice = "Copy the file again from where it was exported. Nothing was imported."


class BundleAlteredError(ComityError):
    """The bundle is not what the exporting side signed."""

    code = "bundle-altered"
    http_status = 422
    advice = "Do not use this file; copy it again, or have it exported again. Nothing was imported."


class BundleElsewhereError(ComityError):
    """The bundle is addressed to someone else."""

    code = "bundle-for-another"
    http_status = 403
    advice = "This file is for another office or node, named in it. Give it to them. Nothing was imported."


class BundleGapError(ComityError):
    """An earlier part or bundle is missing: its mailbox entries would be passed over."""

    code = "bundle-gap"
    http_status = 409
    advice = "Import the parts in their order; if one is lost, export again: the node then begins where this desk is."
