/**
 * One clock for all processes of this machine. `performance.now()` counts from each process's own
 * start, and the wall clock may be set while we measure; the system's monotonic clock is neither.
 */

/** Milliseconds, with fractions, since an arbitrary moment that is the same in every process. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A gap around `meanMs`, never the same twice, so that samples don't fall into step with anything. */
export function randomGap(meanMs: number): Promise<void> {
  return pauseMs(meanMs * (0.5 + Math.random()));
}
