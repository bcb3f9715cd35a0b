// Opens an envelope. In: JSON {envelope, seed, recipient, signing_key}, byte strings as hex.
// Out: JSON {content, salt, routing}. Any check that fails ends it with an error.

import { createDecipheriv, verify } from "node:crypto";
import {
  ALG_A256GCM,
  ALG_ED25519,
  ALG_HPKE,
  CONTENT_TYPE,
  ENCAPSULATED_KEY,
  HEADER_ROUTING,
  cbor,
  check,
  commitment,
  contentAad,
  equal,
  hex,
  kid,
  paddedLength,
  readInput,
  signingPublicKey,
  suite,
  tagged,
  toBeSigned,
  uncbor,
  unhex,
  wrapInfo,
} from "./envelope.mjs";

const input = await readInput();
const envelope = unhex(input.envelope);
const signingKey = unhex(input.signing_key);
const seed = unhex(input.seed);

const [signedProtected, signedUnprotected, payload, signature] = uncbor(envelope, 18);
const signed = uncbor(signedProtected);
check(signedUnprotected.size === 0 && signed.size === 3, "other headers on the signature");
check(signed.get(1) === ALG_ED25519, "not Ed25519");
check(signed.get(3) === CONTENT_TYPE, "another content type");
check(equal(signed.get(4), kid("ed25519", signingKey)), "another signing key");
check(verify(null, toBeSigned(signedProtected, payload), signingPublicKey(signingKey), signature), "bad signature");

const [sealedProtected, sealedUnprotected, ciphertext, recipients] = uncbor(payload, 96);
const sealed = uncbor(sealedProtected);
check(sealedUnprotected.size === 0 && sealed.size === 4, "other headers on the sealed object");
check(sealed.get(1) === ALG_A256GCM, "not AES-256-GCM");
check(sealed.get(2).length === 1 && sealed.get(2)[0] === HEADER_ROUTING, "the routing header is not critical");
const routing = uncbor(sealed.get(HEADER_ROUTING));
check(equal(cbor(routing), sealed.get(HEADER_ROUTING)), "the routing header encodes otherwise here");
check(recipients.length === routing.get(4).length, "not one sealed key for each recipient");
check(
  equal(tagged(96, [sealedProtected, sealedUnprotected, ciphertext, recipients]), payload),
  "the sealed object encodes otherwise here",
);

const place = routing.get(4).indexOf(input.recipient);
check(place >= 0, "not a recipient");
const [recipientProtected, recipientUnprotected, wrapped] = recipients[place];
const recipient = uncbor(recipientProtected);
check(recipient.size === 2 && recipient.get(1) === ALG_HPKE, "another key encryption");

const privateKey = await suite.kem.importKey("raw", seed, false);
const { publicKey } = await suite.kem.generateKeyPairDerand(seed);
const rawPublicKey = new Uint8Array(await suite.kem.serializePublicKey(publicKey));
check(equal(recipient.get(4), kid("mlkem768-x25519", rawPublicKey)), "sealed to another key");
const opened = await suite.createRecipientContext({
  recipientKey: privateKey,
  enc: recipientUnprotected.get(ENCAPSULATED_KEY),
  info: wrapInfo(recipientProtected, sealedProtected, signed.get(4)),
});
const contentKey = new Uint8Array(await opened.open(wrapped));

const cipher = createDecipheriv("aes-256-gcm", contentKey, sealed.get(5));
cipher.setAAD(contentAad(sealedProtected));
cipher.setAuthTag(ciphertext.subarray(ciphertext.length - 16));
const plaintext = Buffer.concat([cipher.update(ciphertext.subarray(0, -16)), cipher.final()]);
const salt = plaintext.subarray(0, 32);
const length = plaintext.readUInt32BE(32);
const content = plaintext.subarray(36, 36 + length);
check(plaintext.length === paddedLength(length), "another length of padding");
check(plaintext.subarray(36 + length).every((byte) => byte === 0), "padding that is not zero");
check(equal(commitment(salt, content), routing.get(9)), "the commitment is to other content");

console.log(
  JSON.stringify({
    content: hex(content),
    salt: hex(salt),
    sealing_key: hex(rawPublicKey),
    routing: Object.fromEntries([...routing].map(([key, value]) => [key, value instanceof Uint8Array ? hex(value) : value])),
  }),
);
