/**
 * Which workflows an event starts: those that declare its key, or a prefix of it ending in `*`. Pure.
 */

export interface Listener {
  events: string[];
}

/** Listeners by exact key and by prefix, for one look-up an event. */
export interface Triggers<Workflow extends Listener> {
  exact: Map<string, Workflow[]>;
  prefixes: { prefix: string; listener: Workflow }[];
}

export function compileTriggers<Workflow extends Listener>(
  listeners: Workflow[],
): Triggers<Workflow> {
  const triggers: Triggers<Workflow> = { exact: new Map(), prefixes: [] };
  for (const listener of listeners) {
    for (const key of listener.events) {
      if (key.endsWith("*")) triggers.prefixes.push({ prefix: key.slice(0, -1), listener });
      else triggers.exact.set(key, [...(triggers.exact.get(key) ?? []), listener]);
    }
  }
  return triggers;
}

/** Each listener once, however many of its keys match. */
export function matchEvent<Workflow extends Listener>(
  key: string,
  { exact, prefixes }: Triggers<Workflow>,
): Workflow[] {
  const matched = new Set(exact.get(key));
  for (const { prefix, listener } of prefixes) if (key.startsWith(prefix)) matched.add(listener);
  return [...matched];
}
