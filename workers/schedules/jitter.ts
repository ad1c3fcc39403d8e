/**
 * How much later than its tick a schedule starts its run: by a hash of both, so that whoever works it out
 * comes to the same. Pure.
 */

export function dueOf({ id, jitterMs }: { id: string; jitterMs: number }, tick: number): number {
  return jitterMs === 0 ? tick : tick + (hash(`${id}/${tick}`) % (jitterMs + 1));
}

/** FNV-1a, and its bits mixed once more: ticks differ in their last digits only. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
