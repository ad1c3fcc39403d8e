/**
 * Which of the shards a worker connects to, if not to all: those that its name and their numbers hash
 * highest for. As shards come and go it changes for no more workers than it must. Pure.
 */
import type { Shard } from "../../protocol/http.ts";

/**
 * The shards to be connected to, of those that are listed. One that drains counts for none, and is among them
 * until it is closed: of the workers that were there when it began to drain perhaps none is left.
 */
export function chooseShards(
  shards: readonly Shard[],
  worker: string,
  affinity: number | undefined,
): Shard[] {
  const lasting = shards.filter(({ isDraining }) => isDraining !== true);
  const chosen =
    affinity === undefined
      ? lasting
      : lasting
          .toSorted((a, b) => weightOf(worker, b) - weightOf(worker, a) || a.number - b.number)
          .slice(0, affinity);
  const draining = shards.filter(({ isDraining }) => isDraining === true);
  return [...chosen, ...draining].toSorted((a, b) => a.number - b.number);
}

/** What people are to know of shards that this worker leaves out: it takes nothing that waits there. */
export function leftOut(shards: readonly Shard[], chosen: readonly Shard[]): string | undefined {
  const missing = shards.filter((shard) => !chosen.includes(shard));
  if (missing.length === 0) return undefined;
  const [left, kept] = [missing, chosen].map((some) => some.map(({ number }) => number).join(", "));
  return `its affinity leaves out ${missing.length === 1 ? "shard" : "shards"} ${left} (it connects to ${kept}): tasks there wait for ever unless another worker of their actions connects to them`;
}

/** A number of 32 bits, as good as random, that is always the same for a worker and a shard. */
function weightOf(worker: string, { number }: Shard): number {
  let hash = 0x811c9dc5;
  for (const unit of `${number} ${worker}`) {
    hash = Math.imul(hash ^ (unit.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
