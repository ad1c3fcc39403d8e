/**
 * The library throws for every missing key. Writing down a stack trace would cost ten times what the
 * evaluation does, and nobody would read it.
 */
export function withoutStackTraces<Value>(run: () => Value): Value {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
