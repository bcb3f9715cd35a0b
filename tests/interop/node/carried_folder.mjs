// Reads evidence files out of a carried folder. Written from docs/protocol.md, sections 1, 2.4, 8.1 and 11; it needs
// Node alone.
//
// Takes on its input {folder, out, message, keys: {holder: public key, hex}, hands: [hex], packs: [hex]}; the last two
// are judged as if they lay in the folder. Prints what it found, and writes each whole file to out as its name.

import { createHash, createPublicKey, verify } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const given = JSON.parse(readFileSync(0, "utf8"));

function check(holds, text) {
  if (!holds) throw new Error(text);
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

// Canonical CBOR (section 1), as far as it is needed: numbers, strings, arrays, maps and tags.
function decoded(data) {
  let at = 0;
  const take = (size) => {
    check(at + size <= data.length, "malformed: cut off");
    at += size;
    return data.subarray(at - size, at);
  };
  function item(depth) {
    check(depth < 8, "malformed: too deep");
    const [first] = take(1);
    const major = first >> 5;
    let value = first & 31;
    if (value > 23) {
      check(value < 28, "malformed: an indefinite length, or a reserved one");
      const size = 1 << (value - 24);
      const number = BigInt(`0x${take(size).toString("hex")}`);
      check(number > [23n, 0xffn, 0xffffn, 0xffffffffn][value - 24], "non-canonical: a longer form than needed");
      check(number <= 2n ** 53n - 1n, "malformed: too large a number");
      value = Number(number);
    }
    if (major === 0) return value;
    if (major === 1) return -1 - value;
    if (major === 2) return take(value);
    if (major === 3) return take(value).toString("utf8");
    if (major === 4) return Array.from({ length: checkedCount(value) }, () => item(depth + 1));
    if (major === 6) return { tag: value, of: item(depth + 1) };
    check(major === 5, "malformed: another kind of item");
    const map = new Map();
    let before = null;
    for (let number = checkedCount(value); number > 0; number -= 1) {
      const from = at;
      const key = item(depth + 1);
      const raw = data.subarray(from, at);
      check(before === null || Buffer.compare(before, raw) < 0, "non-canonical: keys out of order");
      before = raw;
      map.set(key, item(depth + 1));
    }
    return map;
  }
  const checkedCount = (count) => {
    check(count <= data.length, "malformed: more items than bytes");
    return count;
  };
  const value = item(0);
  check(at === data.length, "non-canonical: something behind it");
  return value;
}

function head(major, value) {
  if (value < 24) return Buffer.of((major << 5) | value);
  if (value < 256) return Buffer.of((major << 5) | 24, value);
  return Buffer.of((major << 5) | 25, value >> 8, value & 255);
}
const bytesOf = (data) => Buffer.concat([head(2, data.length), data]);
const textOf = (text) => Buffer.concat([head(3, Buffer.byteLength(text)), Buffer.from(text)]);

function hand(raw, message) {
  check(raw.length <= 4096, "too-large");
  const { tag, of } = decoded(raw);
  check(tag === 18 && of.length === 4 && of[1] instanceof Map && of[1].size === 0, "malformed: no COSE_Sign1");
  const [protectedHeader, , payload, signature] = of;
  const header = decoded(protectedHeader);
  check(header.size === 3 && header.get(1) === -19, "malformed: another algorithm");
  check(header.get(3) === "application/vnd.comity.hand+cose", "malformed: another type");
  const fields = decoded(payload);
  check(fields instanceof Map && [...fields.keys()].join() === "1,2,3,4,5" && fields.get(1) === 1, "malformed: fields");
  const [from, to, created, digest] = [2, 3, 4, 5].map((key) => fields.get(key));
  check(Number.isInteger(created) && Buffer.isBuffer(digest) && digest.length === 32, "malformed: a field");
  const name = /^(?:[a-z0-9][a-z0-9.-]*@)?[a-z]{2}$/;
  check(name.test(from) && name.test(to), "invalid-address");
  const signed = Buffer.concat([
    Buffer.of(0x84),
    textOf("Signature1"),
    ...[protectedHeader, Buffer.from("comity/v1/hand"), payload].map(bytesOf),
  ]);
  const x = Buffer.from(given.keys[from] ?? "", "hex").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  check(verify(null, signed, key, signature), "bundle-altered: the signature is another's");
  return digest.equals(message) ? { from, to, created } : null;
}

function rootOf(index, count, leaf, path) {
  // RFC 9162, section 2.1.3.2.
  let [fn, sn, node] = [index, count - 1, leaf];
  for (const hash of path) {
    check(sn > 0, "file-altered: too long a path");
    if (fn % 2 === 1 || fn === sn) {
      node = sha256(Buffer.of(1), hash, node);
      while (fn % 2 === 0 && fn > 0) [fn, sn] = [fn >> 1, sn >> 1];
    } else {
      node = sha256(Buffer.of(1), node, hash);
    }
    [fn, sn] = [fn >> 1, sn >> 1];
  }
  check(sn === 0, "file-altered: too short a path");
  return node;
}

// The segments of a pack, each verified against the list.
function pack(raw, files) {
  const rows = decoded(raw);
  check(Array.isArray(rows) && rows.length > 0, "malformed: no pack");
  check(rows.length <= 256, "too-large");
  return rows.map((row) => {
    check(Array.isArray(row) && row.length === 4, "malformed: a segment has four fields");
    const [number, index, path, data] = row;
    check(Buffer.isBuffer(path) && path.length % 32 === 0 && data.length > 0, "malformed: a segment");
    check(number < files.length, "file-unknown: the list has no such file");
    const [, segmentBytes, length, root] = files[number];
    const count = Math.ceil(length / segmentBytes);
    check(index < count, "file-unknown: the file has no such segment");
    check(data.length === Math.min(segmentBytes, length - index * segmentBytes), "file-altered: another length");
    const hashes = Array.from({ length: path.length / 32 }, (_, at) => path.subarray(32 * at, 32 * at + 32));
    check(rootOf(index, count, sha256(Buffer.of(0), data), hashes).equals(root), "file-altered: not under the root");
    return { number, index, data };
  });
}

function nameOf([suite, segmentBytes, length, root]) {
  const numbers = Buffer.alloc(13);
  numbers.writeUInt8(suite, 0);
  numbers.writeUInt32BE(segmentBytes, 1);
  numbers.writeBigUInt64BE(BigInt(length), 5);
  return sha256("comity/v1/file\0", numbers, root).toString("hex");
}

function attempt(work) {
  try {
    return work();
  } catch (error) {
    return { error: error.message.split(":")[0] };
  }
}

const home = join(given.folder, given.message);
const message = Buffer.from(given.message, "hex");
const files = decoded(readFileSync(join(home, "list.cbor")));
const earlier = existsSync(join(home, "hands.cbor")) ? decoded(readFileSync(join(home, "hands.cbor"))) : [];
const found = files.map((file, number) => {
  const segments = new Map();
  const blocks = existsSync(join(home, `${number}`)) ? readdirSync(join(home, `${number}`)) : [];
  for (const block of blocks.filter((name) => /^(0|[1-9][0-9]*)$/.test(name))) {
    const names = readdirSync(join(home, `${number}`, block));
    for (const name of names.filter((one) => /^(0|[1-9][0-9]*)-[1-9][0-9]{0,2}$/.test(one))) {
      const taken = attempt(() => pack(readFileSync(join(home, `${number}`, block, name)), files));
      if (!taken.error) taken.filter((one) => one.number === number).forEach((one) => segments.set(one.index, one.data));
    }
  }
  const [, segmentBytes, length] = file;
  const whole = segments.size === Math.ceil(length / segmentBytes);
  const name = nameOf(file);
  const ordered = [...segments.keys()].sort((one, other) => one - other).map((index) => segments.get(index));
  if (whole) writeFileSync(join(given.out, name), Buffer.concat(ordered));
  return { name, whole };
});
const hands = [...earlier, readFileSync(join(home, "hand.cose"))].map((raw) => attempt(() => hand(raw, message)));
const judged = (texts, judge) => texts.map((text) => attempt(() => (judge(Buffer.from(text, "hex")), null)));
process.stdout.write(
  JSON.stringify({
    files: found,
    hands,
    refused: {
      hands: judged(given.hands, (raw) => hand(raw, message)),
      packs: judged(given.packs, (raw) => pack(raw, files)),
    },
  }),
);
