/** Signals of the operating system, where there is one. It never ends the process itself. */
import { hostProcess } from "./platform.ts";

/** Calls `listener` at each of these signals until the returned function is called. */
export function onSignals(signals: readonly string[], listener: () => void): () => void {
  const host = hostProcess();
  for (const signal of signals) host?.on(signal, listener);
  return () => {
    for (const signal of signals) host?.off(signal, listener);
  };
}
