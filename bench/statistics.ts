/**
 * The few figures a report is made of. Pure; every function refuses an empty list, because a
 * measurement without samples has gone wrong and must not read as zero.
 */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which the share `q` (0 to 1) of the values lies, between neighbours by weight. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) {
    throw new Error("There are no values to take a quantile of.");
  }
  return below + (above - below) * (position - Math.floor(position));
}

/** How far repetitions lie apart: the widest difference as a share of their median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Cuts a list into `parts` of nearly equal length, in order; none is empty while there are enough. */
export function split<Value>(values: readonly Value[], parts: number): Value[][] {
  return Array.from({ length: parts }, (_, part) =>
    values.slice(
      Math.floor((part * values.length) / parts),
      Math.floor(((part + 1) * values.length) / parts),
    ),
  );
}
