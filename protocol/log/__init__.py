"""The transparency log: RFC 6962 trees, and checkpoints, tiles and proofs as C2SP specifies them."""

from protocol.log.checkpoint import (
    Checkpoint,
    LogSigner,
    LogVerifier,
    SoftLogSigner,
    VerifiedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from protocol.log.layout import (
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    tile_path,
    tile_width,
)
from protocol.log.merkle import (
    EMPTY_ROOT,
    InclusionVerifier,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from protocol.log.note import NoteSignature, VerifierKey, format_vkey, parse_note, parse_vkey
from protocol.log.proof import TlogProof, decode_tlog_proof, encode_tlog_proof
from protocol.log.tiles import TileSnapshot, TileTree

__all__ = [
    "EMPTY_ROOT",
    "TILE_BYTES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Checkpoint",
    "InclusionVerifier",
    "LogSigner",
    "LogVerifier",
    "NoteSignature",
    "SoftLogSigner",
    "TileName",
    "TileSnapshot",
    "TileTree",
    "TlogProof",
    "VerifiedCheckpoint",
    "VerifierKey",
    "decode_bundle",
    "decode_tlog_proof",
    "encode_bundle",
    "encode_tlog_proof",
    "entries_path",
    "format_vkey",
    "leaf_hash",
    "node_hash",
    "open_checkpoint",
    "parse_checkpoint",
    "parse_note",
    "parse_tile_path",
    "parse_vkey",
    "sign_checkpoint",
    "tile_path",
    "tile_width",
    "verify_checkpoint",
    "verify_consistency",
    "verify_inclusion",
]
