/**
 * `npm test`: everything. The static checks, the dry run of a deployment, and every test; then the
 * count of all of them on a line of its own.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PREPARATION, runStep, type Step, STATIC_CHECKS } from "./steps.ts";

if (process.argv.includes("--help")) {
  console.log(`Usage: npm test [-- VITEST OPTIONS]

Runs the static checks, a dry run of the deployment and every test. Takes some minutes.
A real Postgres is installed from Debian's packages when there is none and that is possible;
without one its tests are skipped, and the reason is printed.

  npm test -- test/shard          only the tests under a folder`);
  process.exit(0);
}

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numFailedTestSuites: number;
  testResults: { name: string; status: string; message: string; assertionResults: unknown[] }[];
}

const directory = mkdtempSync(join(tmpdir(), "skein-report-"));
const reportFile = join(directory, "report.json");
const dryRun: Step = {
  name: "the deployment builds",
  command: ["wrangler", "deploy", "--dry-run", "--outdir", join(directory, "bundle")],
};
const tests: Step = {
  name: "the tests pass",
  command: [
    "vitest",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
    ...process.argv.slice(2),
  ],
  isShown: true,
};

let passed = 0;
let failed = 0;
let skipped = 0;
try {
  for (const step of [...PREPARATION, ...STATIC_CHECKS, dryRun]) {
    if (await runStep(step)) passed++;
    else failed++;
  }
  const isGreen = await runStep(tests);
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
  passed += report.numPassedTests;
  skipped = report.numPendingTests;
  // A file that could not even be loaded, or an error outside of any test, fails as one.
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  ).length;
  const failures = report.numFailedTests + unloaded;
  failed += failures > 0 || isGreen ? failures : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;
