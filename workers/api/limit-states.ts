/**
 * How a limit is used over all shards, from what each of them says. A key's owner counts all that is held of it;
 * the others know who holds it with them, and who waits. Pure.
 */
import { distinct } from "../../durable-objects/dispatcher/holders.ts";
import type { LimitKeyPart } from "../../durable-objects/dispatcher/limit-uses.ts";
import type { LimitKeyState } from "../../protocol/limit-bodies.ts";

/** One state for each key, those with most waiting first. */
export function mergeKeys(parts: readonly LimitKeyPart[]): LimitKeyState[] {
  const byKey = Map.groupBy(parts, ({ key }) => key);
  return [...byKey.values()].map((ofKey) => mergeKey(ofKey)).toSorted(byWaiting);
}

function mergeKey(parts: readonly LimitKeyPart[]): LimitKeyState {
  const waiting = parts.reduce((sum, part) => sum + part.waiting, 0);
  const holders = distinct(parts.flatMap((part) => part.holders ?? []));
  // While it changes who counts it, two may say they do: what either has counted is held.
  const [owner] = parts
    .filter(({ isOwn }) => isOwn)
    .toSorted((a, b) => (b.held ?? 0) - (a.held ?? 0));
  const [first] = parts;
  const { isOwn: _, ...state } = (owner ?? first) as LimitKeyPart;
  if (state.held === undefined) return { ...state, waiting };
  // Without an owner nobody counts it, but those who hold it.
  const held = owner?.held ?? parts.reduce((sum, part) => sum + (part.held ?? 0), 0);
  return { ...state, held, holders, waiting };
}

function byWaiting(a: LimitKeyState, b: LimitKeyState): number {
  return b.waiting - a.waiting || (b.held ?? 0) - (a.held ?? 0) || (a.key < b.key ? -1 : 1);
}
