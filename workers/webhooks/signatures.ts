/**
 * Makes and compares signatures. What it takes is told by sizes that everybody knows, never by a secret
 * or by how much of a guess is right.
 */
import { MAX_WEBHOOK_SECRETS } from "../../protocol/limits.ts";
import type { HmacAlgorithm, HmacEncoding, SecretEncoding } from "../../protocol/webhook-bodies.ts";

/** Not shared with another thread: what the platform's cryptography takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

export function encode(text: string): Bytes {
  return encoder.encode(text) as Bytes; // which it never shares
}

const HASHES: Record<HmacAlgorithm, string> = {
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha512: "SHA-512",
};

/** Stands in for secrets that are not there. What it signs is thrown away. */
const DECOY = encode("a secret that nobody has");

/** The key that a secret is; undefined when it is not of the encoding. */
export function keyOf(secret: string, encoding: SecretEncoding): Bytes | undefined {
  return encoding === "text" ? encode(secret) : decodeBase64(secret.replace(/^whsec_/, ""));
}

/**
 * The content signed with each key. As many signatures are made as there may be secrets, so that the
 * time it takes says nothing of how many there are, or whether there is a webhook at all.
 */
export async function sign(
  algorithm: HmacAlgorithm,
  keys: readonly Bytes[],
  content: Bytes,
): Promise<Uint8Array[]> {
  const decoys = Array.from({ length: MAX_WEBHOOK_SECRETS }, () => DECOY);
  const all = [...keys, ...decoys].slice(0, Math.max(keys.length, MAX_WEBHOOK_SECRETS));
  const made = await Promise.all(all.map((key) => signOne(algorithm, key, content)));
  return made.slice(0, keys.length);
}

async function signOne(
  algorithm: HmacAlgorithm,
  bytes: Bytes,
  content: Bytes,
): Promise<Uint8Array> {
  const how = { name: "HMAC", hash: HASHES[algorithm] };
  const key = await crypto.subtle.importKey("raw", bytes, how, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, content));
}

/** Whether one of the first is one of the second. Looks at all of them, whatever it finds. */
export function isAnyOf(made: readonly Uint8Array[], given: readonly Uint8Array[]): boolean {
  let found = 0;
  for (const one of made) for (const other of given) found |= Number(isSame(one, other));
  return found === 1;
}

/** Compares every byte. Lengths are no secret: an algorithm's signatures all have one length. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (const [index, byte] of one.entries()) difference |= byte ^ (other[index] ?? 0);
  return difference === 0;
}

/** Digests, so that texts of any length are compared in the time of one length. */
export async function digests(texts: readonly Bytes[]): Promise<Uint8Array[]> {
  return await Promise.all(
    texts.map(async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", text))),
  );
}

/** The bytes of an encoded signature; undefined when it is not of the encoding. */
export function decode(text: string, encoding: HmacEncoding): Uint8Array | undefined {
  return encoding === "hex" ? decodeHex(text) : decodeBase64(text);
}

function decodeHex(text: string): Uint8Array | undefined {
  if (!/^(?:[\da-f]{2})+$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Of either alphabet, with or without padding. */
export function decodeBase64(text: string): Bytes | undefined {
  if (!/^[\w+/-]+={0,2}$/.test(text)) return undefined;
  try {
    const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, ""));
    return Uint8Array.from(bytes, (character) => character.charCodeAt(0));
  } catch {
    return undefined; // a length that no bytes have
  }
}

export function encodeBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
