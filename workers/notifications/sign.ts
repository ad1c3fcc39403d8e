/**
 * Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, in base64. Pure.
 */
const PREFIX = "whsec_";
const SECRET_BYTES = 32;

const encoder = new TextEncoder();

export interface SignedMessage {
  /** The same for each attempt to deliver it. */
  id: string;
  /** Seconds since 1970. */
  timestamp: number;
  body: string;
}

/** A new secret. */
export function makeSecret(): string {
  return PREFIX + toBase64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

/** The key's bytes; undefined: it is no secret of that form. */
export function keyOf(secret: string): Uint8Array<ArrayBuffer> | undefined {
  if (!secret.startsWith(PREFIX)) return undefined;
  try {
    const text = atob(secret.slice(PREFIX.length));
    return Uint8Array.from(text, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** The headers by which a receiver knows that it is ours. One signature for each secret. */
export async function signedHeaders(
  secrets: readonly string[],
  { id, timestamp, body }: SignedMessage,
): Promise<Record<string, string>> {
  const signed = encoder.encode(`${id}.${timestamp}.${body}`);
  const signatures = await Promise.all(
    secrets.map(async (secret) => {
      const bytes = keyOf(secret) ?? new Uint8Array();
      const algorithm = { name: "HMAC", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
      return `v1,${toBase64(new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)))}`;
    }),
  );
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatures.join(" "),
  };
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
