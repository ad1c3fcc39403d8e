/**
 * `npm test`: everything. The static checks, the dry run of a deployment, and every test; then the
 * count of all of them on a line of its own.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
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
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { fullName: string; status: string; failureMessages?: string[] }[];
  }[];
}

/** Characters of a failure that are repeated at the end: a broken seed's are a few lines. */
const MAX_REPEATED = 2_000;

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

const failures: string[] = [];
let passed = 0;
let skipped = 0;
try {
  for (const step of [...PREPARATION, ...STATIC_CHECKS, dryRun]) {
    if (await runStep(step)) passed++;
    else failures.push(step.name);
  }
  const isGreen = await runStep(tests);
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
  passed += report.numPassedTests;
  skipped = report.numPendingTests;
  const found = report.testResults.flatMap(failuresOf);
  failures.push(...found);
  // An error outside of any test fails as one.
  if (found.length === 0 && !isGreen) failures.push(`${tests.name}: see above`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
// Where they happened is far above, or has been cut off.
for (const failure of failures) console.log(`\nFAILED  ${failure}`);
const failed = failures.length;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;

/** What has failed in a file, with what was said of it. One that could not even be loaded fails as one. */
function failuresOf({
  name,
  status,
  message,
  assertionResults,
}: Report["testResults"][number]): string[] {
  const file = relative(process.cwd(), name);
  if (status === "failed" && assertionResults.length === 0) return [`${file}\n${cut(message)}`];
  return assertionResults
    .filter((test) => test.status === "failed")
    .map(({ fullName, failureMessages = [] }) =>
      [`${file} > ${fullName}`, ...failureMessages.map(cut)].join("\n"),
    );
}

function cut(text: string): string {
  return text.length <= MAX_REPEATED ? text : `${text.slice(0, MAX_REPEATED)} …`;
}
