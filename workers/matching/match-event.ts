/**
 * Which workflows an event starts: those that declare its key, or a prefix of it ending in `*`. Pure.
 */

export interface Listener {
  id: string;
  version: string;
  /** How many it has. */
  steps: number;
  events: string[];
}

/** Listeners by exact key and by prefix, for one look-up an event. */
export interface Triggers {
  exact: Map<string, Listener[]>;
  prefixes: { prefix: string; listener: Listener }[];
}

export function compileTriggers(listeners: Listener[]): Triggers {
  const triggers: Triggers = { exact: new Map(), prefixes: [] };
  for (const listener of listeners) {
    for (const key of listener.events) {
      if (key.endsWith("*")) triggers.prefixes.push({ prefix: key.slice(0, -1), listener });
      else triggers.exact.set(key, [...(triggers.exact.get(key) ?? []), listener]);
    }
  }
  return triggers;
}

/** Each listener once, however many of its keys match. */
export function matchEvent(key: string, { exact, prefixes }: Triggers): Listener[] {
  const matched = new Set(exact.get(key));
  for (const { prefix, listener } of prefixes) if (key.startsWith(prefix)) matched.add(listener);
  return [...matched];
}
