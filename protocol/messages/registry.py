"""Every message type this program knows: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from protocol.messages.acknowledgement import Acknowledgement
from protocol.messages.base import Message
from protocol.messages.preservation import PreservationAnswer, PreservationRequest

MESSAGE_TYPES: Mapping[str, type[Message]] = MappingProxyType(
    {
        PreservationRequest.TYPE: PreservationRequest,
        PreservationAnswer.TYPE: PreservationAnswer,
        Acknowledgement.TYPE: Acknowledgement,
    }
)
