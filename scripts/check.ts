/**
 * `npm run check`: everything that is fast. Format, lint, types, the shape of the code, and the tests
 * that need no database.
 */
import { PREPARATION, runStep, type Step, STATIC_CHECKS } from "./steps.ts";

if (process.argv.includes("--help")) {
  console.log(`Usage: npm run check

Checks format, lint, types, architecture, and runs the tests that need no database.
Under a minute. "npm test" runs everything.`);
  process.exit(0);
}

const tests: Step = {
  name: "the tests without a database pass",
  command: ["vitest", "run", "--project", "pure"],
};
let failed = 0;
for (const step of [...PREPARATION, ...STATIC_CHECKS, tests]) if (!(await runStep(step))) failed++;
console.log(failed === 0 ? "All checks passed." : `${failed} checks failed.`);
process.exitCode = failed === 0 ? 0 : 1;
