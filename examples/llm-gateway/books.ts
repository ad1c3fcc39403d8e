/** What the provider writes down. It is the only witness of whether the gateway kept its promises. */
import type { Rate } from "./bucket.ts";

/** One request, by the provider's clock: milliseconds since it started. */
export interface Entry {
  customer: string;
  /** How its prompt begins: by that a request is known that came twice. */
  prompt: string;
  arrivedMs: number;
  status: 200 | 429;
  /** Its prompt and the most that it may answer: what a request counts until it is answered. */
  reservedTokens: number;
  /** When it was answered, and what it really took. Null: it was refused, or is not answered yet. */
  answeredMs: number | null;
  usedTokens: number | null;
}

export interface ProviderLimits {
  requests: Rate;
  tokens: Rate;
}

export interface Books {
  /** In the order of their arrival. */
  entries: Entry[];
  /** As they are now. */
  limits: ProviderLimits;
  nowMs: number;
}
