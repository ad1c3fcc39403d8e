/** What an example promises, and how it is told whether that held: its exit code rests on it. */
import { grouped, type Terminal, wrap } from "./terminal.ts";

/** A promise in a sentence, and what broke it; kept when nothing did. */
export interface Check {
  promise: string;
  breaches: string[];
}

/** Breaches of one promise that are named; the rest is counted. */
const MAX_BREACHES = 3;

export function isKept({ breaches }: Check): boolean {
  return breaches.length === 0;
}

export function printChecks(terminal: Terminal, checks: readonly Check[]): void {
  terminal.line();
  for (const check of checks) {
    const { promise, breaches } = check;
    const [mark, style] = isKept(check) ? (["✓", "green"] as const) : (["✗", "red"] as const);
    terminal.paragraph(mark, promise, style);
    const more = breaches.length - MAX_BREACHES;
    const named = breaches.slice(0, MAX_BREACHES);
    for (const breach of more > 0 ? [...named, `and ${grouped(more)} more`] : named) {
      for (const text of wrap(breach, terminal.columns - 6)) terminal.line(`      ${text}`);
    }
  }
}
