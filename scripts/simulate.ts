/**
 * `npm run simulate`: the whole of Skein under a virtual clock, with everything going wrong that can,
 * seed after seed. A seed is always the same story; one that breaks a promise is printed with the
 * command that repeats it.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Crew } from "../test/simulation/crew.ts";
import { ASKED_SHARDS } from "../test/simulation/shard-plans.ts";
import { describeBroken, Tally } from "../test/simulation/tally.ts";
import { THEMES, type ThemeName } from "../test/simulation/themes.ts";

const HELP = `Usage: npm run simulate -- [OPTIONS]

  --seeds N     run N seeds (default 200)
  --minutes M   run seeds for M minutes instead
  --from S      begin with seed S (default: a random one, printed)
  --seed S      run this seed alone
  --verbose     print everything that happens in it; with --seed
  --theme T     one kind of bad day only: ${Object.keys(THEMES).join(", ")}
  --shards X    one: one shard in each of them; many: several (default: as they are drawn)
  --workers W   threads (default: one for each core)

Ends with 1 when a promise is broken. Seeds are the same on every machine.`;

const MAX_RANDOM_SEED = 1_000_000_000;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    minutes: { type: "string" },
    from: { type: "string" },
    seed: { type: "string" },
    verbose: { type: "boolean", default: false },
    theme: { type: "string" },
    shards: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const theme = values.theme === undefined ? undefined : themeNamed(values.theme);
const shards = ASKED_SHARDS.find((one) => one === values.shards);
if (values.shards !== undefined && shards === undefined) {
  console.error(`--shards must be one or many; got "${values.shards}".\n\n${HELP}`);
  process.exit(2);
}
const isOne = values.seed !== undefined;
const first = isOne
  ? numberOf(values.seed, "--seed")
  : values.from === undefined
    ? Math.floor(Math.random() * MAX_RANDOM_SEED)
    : numberOf(values.from, "--from");
const began = performance.now();
const deadline =
  values.minutes === undefined
    ? Number.POSITIVE_INFINITY
    : began + numberOf(values.minutes, "--minutes") * 60_000;
const count = isOne ? 1 : Number.isFinite(deadline) ? deadline : numberOf(values.seeds, "--seeds");

const crew = new Crew({
  threads: isOne ? 1 : numberOf(values.workers, "--workers"),
  print: (text) => console.log(text),
});
const tally = new Tally();
if (!isOne) console.log(`Seeds from ${first}.`);
let given = 0;
await crew.run(
  () => {
    if (given >= count || performance.now() > deadline) return undefined;
    return { seed: first + given++, theme, shards, isVerbose: values.verbose };
  },
  (outcome) => {
    const before = tally.broken.length;
    tally.add(outcome);
    if (tally.broken.length > before)
      console.log(`\n${describeBroken(outcome, { theme, shards })}`);
  },
);
await crew.stop();

const seconds = (performance.now() - began) / 1_000;
console.log(`\n${tally.table()}`);
console.log(
  `\n${tally.seeds} seeds in ${seconds.toFixed(1)} s (${(tally.seeds / seconds).toFixed(1)} a second), ` +
    `${tally.broken.length} with broken promises`,
);
process.exitCode = tally.broken.length === 0 ? 0 : 1;

function numberOf(text: string | undefined, option: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0) return number;
  console.error(`${option} must be a number; got "${text}".\n\n${HELP}`);
  return process.exit(2);
}

function themeNamed(name: string): ThemeName {
  if (name in THEMES) return name as ThemeName;
  console.error(`There is no theme "${name}".\n\n${HELP}`);
  return process.exit(2);
}
