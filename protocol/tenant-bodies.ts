/**
 * Bodies of the operator's API: tenants, where their Durable Objects are, and tokens. Hints and jurisdictions are
 * those that Cloudflare publishes, on the page "Data location" of the documentation of Durable Objects.
 */

/** Near which region objects are created. It binds nobody. */
export const LOCATION_HINTS = [
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
] as const;
export type LocationHint = (typeof LOCATION_HINTS)[number];

/** Within which objects run and store. */
export const JURISDICTIONS = ["eu", "us", "fedramp", "fedramp-high"] as const;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

export interface NewTenant {
  name: string;
  /** Near which region its Durable Objects are created; after that it says nothing. */
  locationHint?: LocationHint;
  /** Within which they stay. It never changes. */
  jurisdiction?: Jurisdiction;
}

export interface Tenant {
  id: string;
  name: string;
  locationHint: LocationHint | null;
  jurisdiction: Jurisdiction | null;
  createdAt: string;
}

export interface ApiToken {
  id: string;
  name: string;
  /** The first characters, to tell tokens apart. */
  prefix: string;
  createdAt: string;
}

/** Told once, when it is made: only its hash is kept. */
export interface CreatedApiToken extends ApiToken {
  token: string;
}
