/**
 * How a worker's slots are to be divided among its shards: as evenly as what is used and wanted allows,
 * and what nobody wants evenly on top, so that a new task begins at once wherever it comes. Pure.
 */

/** One shard's part in it. */
export interface Claim {
  used: number;
  /** How many more would be used; 0: none. */
  wanted: number;
  /** What it must have at least, because its turn has come. */
  reserved: number;
  /** What it has been told, which it keeps where another would have no more right to it. */
  told: number;
}

/** Slots for each claim, in their order: together all there are, if there is a claim. */
export function divide(slots: number, claims: readonly Claim[]): number[] {
  const most = claims.map(({ used, wanted, reserved }) => Math.max(used + wanted, reserved));
  const levelled = (level: number): number[] =>
    claims.map(({ reserved }, index) => Math.max(reserved, Math.min(level, most[index] ?? 0)));
  // The highest level that there is enough for: nobody below it goes short so that another has more.
  let level = 0;
  for (let low = 1, high = slots; low <= high;) {
    const middle = (low + high) >> 1;
    if (sum(levelled(middle)) <= slots) low = (level = middle) + 1;
    else high = middle - 1;
  }
  const shares = levelled(level);
  const next = levelled(level + 1);
  const isShort = (index: number): boolean => (next[index] ?? 0) > (shares[index] ?? 0);
  const keeps = byTold(claims);
  let left = slots - sum(shares);
  for (const index of keeps) if (left > 0 && isShort(index)) left -= give(shares, index, 1);
  if (left <= 0) return shares;
  for (const [rank, index] of keeps.entries()) {
    give(shares, index, Math.floor(left / claims.length) + (rank < left % claims.length ? 1 : 0));
  }
  return shares;
}

function give(shares: number[], index: number, slots: number): number {
  shares[index] = (shares[index] ?? 0) + slots;
  return slots;
}

/** Places of the claims, those first that have been told most: an odd slot stays where it is. */
function byTold(claims: readonly Claim[]): number[] {
  return claims
    .map((_, index) => index)
    .toSorted((a, b) => (claims[b]?.told ?? 0) - (claims[a]?.told ?? 0) || a - b);
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
