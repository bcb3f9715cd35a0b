// Seals an envelope. In: JSON {content, seed, id, from, to, created, expires, priority, ack_by, keys}, byte strings as
// hex, instants as Unix milliseconds, keys in the order of `to`. Out: JSON {envelope, salt}.

import { createCipheriv, createPublicKey, randomBytes, sign } from "node:crypto";
import {
  ALG_A256GCM,
  ALG_ED25519,
  ALG_HPKE,
  CONTENT_TYPE,
  ENCAPSULATED_KEY,
  HEADER_ROUTING,
  cbor,
  commitment,
  contentAad,
  hex,
  kid,
  paddedLength,
  readInput,
  signingPrivateKey,
  suite,
  tagged,
  toBeSigned,
  unhex,
  wrapInfo,
} from "./envelope.mjs";

const input = await readInput();
const content = unhex(input.content);
const signingKey = signingPrivateKey(unhex(input.seed));
const rawSigningKey = createPublicKey(signingKey).export({ format: "der", type: "spki" }).subarray(-32);
const senderKid = kid("ed25519", rawSigningKey);
const salt = randomBytes(32);
const contentKey = randomBytes(32);
const iv = randomBytes(12);

const routing = new Map([
  [1, 1],
  [2, unhex(input.id)],
  [3, input.from],
  [4, input.to],
  [5, input.created],
  [6, input.expires],
  [7, input.priority],
  [8, input.ack_by],
  [9, commitment(salt, content)],
]);
const sealedProtected = cbor(
  new Map([
    [1, ALG_A256GCM],
    [2, [HEADER_ROUTING]],
    [5, iv],
    [HEADER_ROUTING, cbor(routing)],
  ]),
);

const plaintext = Buffer.alloc(paddedLength(content.length));
plaintext.set(salt, 0);
plaintext.writeUInt32BE(content.length, 32);
plaintext.set(content, 36);
const cipher = createCipheriv("aes-256-gcm", contentKey, iv);
cipher.setAAD(contentAad(sealedProtected));
const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);

const recipients = [];
for (const key of input.keys.map(unhex)) {
  const recipientProtected = cbor(
    new Map([
      [1, ALG_HPKE],
      [4, kid("mlkem768-x25519", key)],
    ]),
  );
  const context = await suite.createSenderContext({
    recipientPublicKey: await suite.kem.importKey("raw", key),
    info: wrapInfo(recipientProtected, sealedProtected, senderKid),
  });
  const wrapped = new Uint8Array(await context.seal(contentKey));
  recipients.push([recipientProtected, new Map([[ENCAPSULATED_KEY, new Uint8Array(context.enc)]]), wrapped]);
}

const payload = tagged(96, [sealedProtected, new Map(), ciphertext, recipients]);
const signedProtected = cbor(
  new Map([
    [1, ALG_ED25519],
    [3, CONTENT_TYPE],
    [4, senderKid],
  ]),
);
const signature = sign(null, toBeSigned(signedProtected, payload), signingKey);
console.log(
  JSON.stringify({ envelope: hex(tagged(18, [signedProtected, new Map(), payload, signature])), salt: hex(salt) }),
);
