/** Adds up what seeds came to, and tells it: what was thrown, what happened, what was broken. */
import { type Failure, isFailure, type Outcome } from "./crew.ts";
import type { Asked } from "./scenario.ts";
import type { SeedResult } from "./simulate-seed.ts";

export class Tally {
  readonly #thrown = new Map<string, number>();
  readonly #happened = new Map<string, number>();
  readonly #themes = new Map<string, number>();
  readonly broken: (SeedResult | Failure)[] = [];
  seeds = 0;

  add(outcome: Outcome): void {
    this.seeds++;
    if (isFailure(outcome)) {
      this.broken.push(outcome);
      return;
    }
    if (outcome.findings.length > 0) this.broken.push(outcome);
    addUp(this.#thrown, outcome.thrown);
    addUp(this.#happened, outcome.happened);
    addUp(this.#themes, { [outcome.theme]: 1 });
  }

  /** Two tables: what was thrown, and what came back. */
  table(): string {
    const thrown = [...this.#thrown].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return [
      ...section("Thrown", thrown),
      "",
      ...section("What came back", [...this.#happened, ["promises broken", this.broken.length]]),
      "",
      ...section("Seeds by theme", [...this.#themes]),
    ].join("\n");
  }
}

/** What is wrong with a seed, and how to see it again. */
export function describeBroken(outcome: SeedResult | Failure, asked: Asked = {}): string {
  const options = Object.entries(asked).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${value} `],
  );
  const again = `npm run simulate -- --seed ${outcome.seed} ${options.join("")}--verbose`;
  if (isFailure(outcome)) {
    return `seed ${outcome.seed} could not be simulated: ${outcome.error}\n  repeat: ${again}`;
  }
  const findings = Map.groupBy(outcome.findings, ({ check }) => check);
  const lines = [...findings].flatMap(([check, found]) => [
    `  broken: ${check}`,
    ...found.slice(0, MAX_EVIDENCE).map(({ evidence }) => `    ${evidence}`),
    ...(found.length > MAX_EVIDENCE ? [`    and ${found.length - MAX_EVIDENCE} more`] : []),
  ]);
  return [`seed ${outcome.seed} (${outcome.theme})`, ...lines, `  repeat: ${again}`].join("\n");
}

/** Findings of one check that are printed of one seed. */
const MAX_EVIDENCE = 5;

function addUp(sums: Map<string, number>, counts: Record<string, number>): void {
  for (const [name, count] of Object.entries(counts)) {
    sums.set(name, (sums.get(name) ?? 0) + count);
  }
}

function section(title: string, rows: Iterable<[string, number]>): string[] {
  return [title, ...[...rows].map(([name, count]) => `  ${name.padEnd(40)} ${count}`)];
}
