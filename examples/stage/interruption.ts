/** Ctrl-C: the first one ends an example in order, the second one at once. */

/** As shells tell of a program that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/** Aborted when this program is to end. */
export function interruption(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
      stopping.abort();
    });
  }
  return stopping.signal;
}
