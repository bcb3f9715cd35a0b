// Verifies the ML-DSA-44 lines (type 0x06) of a checkpoint, written from C2SP tlog-cosignature alone. In: JSON
// {note, vkeys}. Out: JSON {name: seconds} of the keys. A line that is missing or does not verify ends it with an error.

import { createHash } from "node:crypto";
import { readInput, utf8 } from "./envelope.mjs";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

const TYPE = 0x06;
const { note, vkeys } = await readInput();

const check = (holds, why) => {
  if (!holds) throw new Error(why);
};
const uint64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const opaque = (text) => Buffer.concat([Buffer.from([utf8(text).length]), utf8(text)]);

const [text, signatures] = note.split("\n\n");
const [origin, size, root] = text.split("\n");

function cosigned(vkey) {
  const [name, id, ...rest] = vkey.split("+");
  const key = Buffer.from(rest.join("+"), "base64");
  check(key[0] === TYPE, `${name}: not a key of ML-DSA-44 cosignatures`);
  const own = createHash("sha256").update(`${name}\n`).update(key).digest().subarray(0, 4);
  check(own.toString("hex") === id, `${name}: the key id is not that of the key`);
  for (const line of signatures.trimEnd().split("\n")) {
    const [dash, signer, encoded] = line.split(" ");
    const data = Buffer.from(encoded, "base64");
    if (dash !== "\u2014" || signer !== name || !data.subarray(0, 4).equals(own)) continue;
    const seconds = data.readBigUInt64BE(4);
    const message = Buffer.concat([
      Buffer.from("subtree/v1\n\0"),
      opaque(name),
      uint64(seconds),
      opaque(origin),
      uint64(0),
      uint64(size),
      Buffer.from(root, "base64"),
    ]);
    check(ml_dsa44.verify(data.subarray(12), message, key.subarray(1)), `${name}: the signature is not valid`);
    return [name, Number(seconds)];
  }
  throw new Error(`${name}: no line of this key`);
}

console.log(JSON.stringify(Object.fromEntries(vkeys.map(cosigned))));
