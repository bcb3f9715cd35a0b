// Reads a directory whose holders sign with Ed25519 and ML-DSA-44, written from docs/directory.md and the TUF
// specification alone: Node's own Ed25519, @noble/post-quantum's ML-DSA-44.
// In: JSON {files: {name: base64}, root: base64, now: seconds}. Out: {cards: {path: base64}}. What does not verify ends
// it with an error.

import { createHash, createPublicKey, verify } from "node:crypto";
import { readInput, utf8 } from "./envelope.mjs";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

const HYBRID = "ed25519-ml-dsa-44";
const DOMAIN = Buffer.from("comity/v1/directory-signature\0");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");
const given = await readInput();
const files = new Map(Object.entries(given.files).map(([name, content]) => [name, Buffer.from(content, "base64")]));

const check = (holds, why) => {
  if (!holds) throw new Error(why);
};
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const read = (name) => {
  check(files.has(name), `${name} is missing`);
  return files.get(name);
};

// OLPC canonical JSON, which TUF signs: sorted members, no spaces, backslash and quote escaped alone.
function canonical(value) {
  if (typeof value === "string") return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${canonical(name)}:${canonical(value[name])}`).join(",")}}`;
}

function ed25519(key, message, signature) {
  const loaded = createPublicKey({ key: Buffer.concat([SPKI, key]), format: "der", type: "spki" });
  return signature.length === 64 && verify(null, message, loaded, signature);
}

function valid(key, keyid, message, signature) {
  const { keytype, scheme, keyval } = key;
  check(sha256(Buffer.from(canonical({ keytype, keyval, scheme }))) === keyid, "a key id is not that of its key");
  const parts = Buffer.from(keyval.public, "hex");
  if (keytype === "ed25519" && scheme === "ed25519") return ed25519(parts, message, signature);
  check(keytype === HYBRID && scheme === `${HYBRID}/1` && parts.length === 1344, "a key of another kind");
  const signed = Buffer.concat([DOMAIN, message]);
  const [first, second] = [signature.subarray(0, 64), signature.subarray(64)];
  if (second.length !== 2420 || !ed25519(parts.subarray(0, 32), signed, first)) return false;
  return ml_dsa44.verify(second, signed, parts.subarray(32));
}

function signed(encoded, type, keys, role) {
  const { signatures, signed: value } = JSON.parse(encoded.toString("utf8"));
  const message = Buffer.from(utf8(canonical(value)));
  const holders = new Set();
  for (const { keyid, sig } of signatures) {
    if (!role.keyids.includes(keyid)) continue;
    if (valid(keys[keyid], keyid, message, Buffer.from(sig, "hex"))) holders.add(keyid);
  }
  check(value._type === type, `not of type ${type}`);
  check(holders.size >= role.threshold, `${type} is signed by ${holders.size} of ${role.threshold}`);
  return value;
}

const isHybrid = (root) => root.roles.root.keyids.every((keyid) => root.keys[keyid].keytype === HYBRID);
const fresh = (value) => check(Date.parse(value.expires) / 1000 > given.now, `${value._type} expired`);

function newestRoot() {
  let root = signed(Buffer.from(given.root, "base64"), "root", ...own(JSON.parse(Buffer.from(given.root, "base64")).signed));
  for (let next = root.version + 1; files.has(`metadata/${next}.root.json`); next += 1) {
    const encoded = read(`metadata/${next}.root.json`);
    const after = signed(encoded, "root", root.keys, root.roles.root);
    signed(encoded, "root", ...own(after));
    check(after.version === next, "the roots do not follow each other");
    check(!isHybrid(root) || isHybrid(after), "the root gives up ML-DSA-44");
    root = after;
  }
  return root;
}

function own(root) {
  return [root.keys, root.roles.root];
}

function listed(snapshot, role) {
  const meta = snapshot.meta[`${role}.json`];
  const encoded = read(`metadata/${meta.version}.${role}.json`);
  check(sha256(encoded) === meta.hashes.sha256 && encoded.length === meta.length, `${role} is not the one listed`);
  return encoded;
}

const root = newestRoot();
const timestamp = signed(read("metadata/timestamp.json"), "timestamp", root.keys, root.roles.timestamp);
const version = timestamp.meta["snapshot.json"].version;
const snapshot = signed(read(`metadata/${version}.snapshot.json`), "snapshot", root.keys, root.roles.snapshot);
const members = signed(listed(snapshot, "targets"), "targets", root.keys, root.roles.targets);
[root, timestamp, snapshot, members].forEach(fresh);

const cards = {};
for (const role of members.delegations.roles) {
  const node = role.name.slice("nation-".length);
  check(role.paths.length === 1 && role.paths[0] === `${node}/*` && role.terminating, `${role.name}: other paths`);
  const nation = signed(listed(snapshot, role.name), "targets", members.delegations.keys, role);
  fresh(nation);
  for (const [path, target] of Object.entries(nation.targets)) {
    check(path.startsWith(`${node}/`), `${path} is another nation's`);
    const content = read(`targets/${node}/${target.hashes.sha256}.${path.slice(node.length + 1)}`);
    check(sha256(content) === target.hashes.sha256, `${path} is not the one signed`);
    cards[path] = content.toString("base64");
  }
}
console.log(JSON.stringify({ cards }));
