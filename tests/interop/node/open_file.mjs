// Opens a sealed evidence file. Written from docs/protocol.md, section 11; it needs Node alone.
//
//   node open_file.mjs SEALED MESSAGE.json > FILE
//
// SEALED is the sealed file as it was fetched, MESSAGE.json the opened message. It finds the attachment by the name that
// the sealed file has, and ends with an error, before its last bytes, if any check fails.

import { createDecipheriv, createHash, createHmac, timingSafeEqual } from "node:crypto";
import { fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

const CHUNK = 16384;
const TAG = 16;
const PREFIX = 24 + 32;

function check(holds, text) {
  if (!holds) throw new Error(text);
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

const [sealedPath, messagePath] = process.argv.slice(2);
check(messagePath !== undefined, "usage: open_file.mjs SEALED MESSAGE.json");
const sealed = openSync(sealedPath, "r");
const length = fstatSync(sealed).size;

function bytesAt(offset, size) {
  const data = Buffer.alloc(size);
  let done = 0;
  while (done < size) {
    const got = readSync(sealed, data, done, size - done, offset + done);
    check(got > 0, "the sealed file ended early");
    done += got;
  }
  return data;
}

// RFC 6962 over the segments: complete subtrees of equal size are joined as they arise, the rest at the end.
function rootOf(segmentBytes) {
  const stack = []; // [leaves below, hash]
  const joined = (left, right) => sha256(Buffer.of(1), left, right);
  for (let at = 0; at < length; at += segmentBytes) {
    let node = [1, sha256(Buffer.of(0), bytesAt(at, Math.min(segmentBytes, length - at)))];
    while (stack.length > 0 && stack[stack.length - 1][0] === node[0]) {
      const left = stack.pop();
      node = [left[0] + node[0], joined(left[1], node[1])];
    }
    stack.push(node);
  }
  return stack.map(([, hash]) => hash).reduceRight((right, left) => joined(left, right));
}

function nameOf({ suite, segment_bytes: segmentBytes }, root) {
  const numbers = Buffer.alloc(13);
  numbers.writeUInt8(suite, 0);
  numbers.writeUInt32BE(segmentBytes, 1);
  numbers.writeBigUInt64BE(BigInt(length), 5);
  return sha256("comity/v1/file\0", numbers, root).toString("hex");
}

// The Padmé size, in whole numbers of any size.
function padded(size) {
  const least = size < 512 ? 512n : BigInt(size);
  const exponent = least.toString(2).length - 1;
  const mask = (1n << BigInt(exponent - exponent.toString(2).length)) - 1n;
  return Number((least + mask) & ~mask);
}

function ciphertextLength(size) {
  return PREFIX + Math.floor(size / CHUNK) * (CHUNK + TAG) + (size % CHUNK) + TAG;
}

const message = JSON.parse(readFileSync(messagePath, "utf8"));
const candidates = message.attachments.filter((one) => one.sealed && one.sealed.length === length);
const roots = new Map();
const attachment = candidates.find(({ sealed: said }) => {
  check(said.suite === 1 && [20, 21, 22].some((bits) => said.segment_bytes === 2 ** bits), "another suite");
  if (!roots.has(said.segment_bytes)) roots.set(said.segment_bytes, rootOf(said.segment_bytes));
  const root = roots.get(said.segment_bytes);
  return root.toString("hex") === said.root && nameOf(said, root) === said.name;
});
check(attachment !== undefined, "file-altered: no attachment of the message has the name of this file");
const size = attachment.size_bytes;
check(ciphertextLength(padded(size)) === length, "file-length-mismatch: padded for another length");

// HKDF-Expand (RFC 5869) with SHA-512: 76 bytes are two blocks.
const inputKey = Buffer.from(attachment.sealed.key, "base64url");
const info = Buffer.concat([
  Buffer.from("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"),
  bytesAt(0, 24),
  Buffer.from("comity/v1/file"),
]);
const block = (before, number) =>
  createHmac("sha512", inputKey).update(before).update(info).update(Buffer.of(number)).digest();
const first = block(Buffer.alloc(0), 1);
const derived = Buffer.concat([first, block(first, 2)]);
const chunkKey = derived.subarray(0, 32);
const baseNonce = derived.subarray(32, 44);
check(timingSafeEqual(derived.subarray(44, 76), bytesAt(24, 32)), "file-key-mismatch: the commitment is another");

function nonceOf(number) {
  const nonce = Buffer.from(baseNonce);
  let rest = number;
  for (let at = 11; rest > 0; at -= 1) {
    nonce[at] ^= rest % 256;
    rest = Math.floor(rest / 256);
  }
  return nonce;
}

function opened(number, data) {
  const cipher = createDecipheriv("aes-256-gcm", chunkKey, nonceOf(number), { authTagLength: TAG });
  cipher.setAuthTag(data.subarray(data.length - TAG));
  const plaintext = cipher.update(data.subarray(0, data.length - TAG));
  cipher.final();
  return plaintext;
}

const hashes = ["sha256", "sha512", "sha1", "md5"].filter((name) => attachment[name] !== undefined);
const states = hashes.map((name) => createHash(name));
let missing = size;
let held = Buffer.alloc(0); // given out only when the next part was checked
let number = 0;
for (let at = PREFIX; at <= length; at += CHUNK + TAG, number += 1) {
  const data = bytesAt(at, Math.min(CHUNK + TAG, length - at));
  check(data.length >= TAG, "file-altered: the end is missing");
  const plaintext = opened(number, data);
  const own = plaintext.subarray(0, Math.min(missing, plaintext.length));
  check(plaintext.subarray(own.length).every((byte) => byte === 0), "file-length-mismatch: no zeros behind the end");
  missing -= own.length;
  states.forEach((state) => state.update(own));
  if (own.length > 0) {
    writeAll(held);
    held = own;
  }
  if (data.length < CHUNK + TAG) break;
}
states.forEach((state, at) => {
  check(state.digest("hex") === attachment[hashes[at]], `file-hash-mismatch: another ${hashes[at]}`);
});
writeAll(held);

function writeAll(data) {
  for (let done = 0; done < data.length; ) done += writeSync(1, data, done);
}
