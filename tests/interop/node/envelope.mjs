// What opening and sealing share: the formats of docs/protocol.md, sections 1 and 2, written from that text alone.

import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";
import { decode, encode } from "cborg";

export const CONTENT_TYPE = "application/vnd.comity.sealed+cose";
export const ALG_ED25519 = -19;
export const ALG_A256GCM = 3;
export const ALG_HPKE = -70010;
export const HEADER_ROUTING = -70001;
export const ENCAPSULATED_KEY = -4;

export const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

export const utf8 = (text) => new TextEncoder().encode(text);
export const hex = (bytes) => Buffer.from(bytes).toString("hex");
export const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));
export const equal = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0;
export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

export const cbor = (value) => encode(value);

/** The value of one CBOR item, maps as Map; `tag`, when given, must be what the item begins with. */
export function uncbor(bytes, tag) {
  const tags = [];
  let found;
  if (tag !== undefined) tags[tag] = (inner) => ((found = tag), inner);
  const value = decode(bytes, {
    useMaps: true,
    strict: true,
    allowIndefinite: false,
    rejectDuplicateMapKeys: true,
    tags,
  });
  check(found === tag, `the item does not begin with tag ${tag}`);
  return value;
}

export const tagged = (tag, value) => Buffer.concat([Buffer.from(tag < 24 ? [0xc0 | tag] : [0xd8, tag]), cbor(value)]);

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

export const kid = (algorithm, publicKey) =>
  sha256(utf8(`comity/v1/key-id\0${algorithm}\0`), publicKey).subarray(0, 16);

export const commitment = (salt, content) => sha256(utf8("comity/v1/commitment\0"), salt, content);

export const contentAad = (sealedProtected) => cbor(["Encrypt", sealedProtected, utf8("comity/v1/sealed")]);

export const wrapInfo = (recipientProtected, sealedProtected, senderKid) =>
  cbor([
    "HPKE Recipient",
    ALG_A256GCM,
    recipientProtected,
    cbor(["comity/v1/wrap", sealedProtected, senderKid]),
  ]);

export const toBeSigned = (signedProtected, payload) =>
  cbor(["Signature1", signedProtected, utf8("comity/v1/envelope"), payload]);

/** Padmé of the plaintext's length, at least 512. */
export function paddedLength(contentLength) {
  const length = Math.max(512, 36 + contentLength);
  const exponent = 31 - Math.clz32(length);
  const unit = 2 ** (exponent - (31 - Math.clz32(exponent)) - 1);
  return Math.ceil(length / unit) * unit;
}

/** Ed25519 keys of 32 raw bytes, as node:crypto wants them (the DER heads of RFC 8410). */
export const signingPublicKey = (raw) =>
  createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]),
    format: "der",
    type: "spki",
  });
export const signingPrivateKey = (seed) =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
    format: "der",
    type: "pkcs8",
  });

export async function readInput() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}
