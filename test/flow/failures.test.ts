/** What fails is tried again as its step says, and what can't be done is undone. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Attempt, RunFailedError, type Run } from "../../sdk/index.ts";
import { flaky, slow, trip } from "./failing-workflows.ts";
import { FlowWorld } from "./world.ts";

const execute = promisify(execFile);

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
  await world.startWorker();
});
afterAll(() => world?.stop());

type Failure = "throws" | "later" | "never" | "refused";

/** How a run whose attempts fail so has ended, and what its history says. */
async function tryOut(failures: Failure[]): Promise<Run> {
  const { id } = await world.client.start(flaky, { failures });
  await world.client.runs.result(id);
  return await world.client.runs.get(id);
}

/** Milliseconds from each attempt's end to the next one's start, as the history tells them. */
function waitsMs(attempts: Attempt[]): number[] {
  return attempts
    .slice(1)
    .map(
      ({ startedAt }, index) =>
        Date.parse(startedAt ?? "") - Date.parse(attempts[index]?.finishedAt ?? ""),
    );
}

test("a failed step is tried again after its backoff, or later if its error says so", async () => {
  const run = await tryOut(["throws", "later"]);
  expect(run.state).toBe("completed");
  const { attempts, output } = run.tasks[0] ?? { attempts: [], output: null };
  expect(output).toEqual({ attempt: 3 });
  expect(attempts.map(({ outcome, error }) => [outcome, error?.name, error?.message])).toEqual([
    ["failed", "TypeError", "not this time"],
    ["failed", "RetryAfterError", "not now"],
    ["completed", undefined, undefined],
  ]);
  const [backoff, askedFor] = waitsMs(attempts);
  expect(backoff).toBeGreaterThanOrEqual(100);
  expect(askedFor).toBeGreaterThanOrEqual(400); // and not the 300 of its backoff
});

test("a step is tried no more once its retries are spent, or its error or its condition says so", async () => {
  const [spent, hopeless, refused] = await Promise.all([
    tryOut(["throws", "throws", "throws"]),
    tryOut(["never"]),
    tryOut(["throws", "refused"]),
  ]);
  const ends = [spent, hopeless, refused].map(({ state, tasks: [task] }) => [
    state,
    task?.error?.name,
    task?.attempts.length,
  ]);
  expect(ends).toEqual([
    ["failed", "TypeError", 3],
    ["failed", "NonRetryableError", 1],
    ["failed", "RefusedError", 2],
  ]);
  const [first, second] = waitsMs(spent.tasks[0]?.attempts ?? []);
  expect(first).toBeGreaterThanOrEqual(100);
  expect(second).toBeGreaterThanOrEqual(300);
});

test("an attempt that takes too long is told so and tried again; one that asked for time has it", async () => {
  const { hold, release } = world.holdFile();
  const extended = world.newFile();
  const patient = await world.client.start(slow, { hold, extended });
  await world.read(extended);
  // The second run's first attempt runs out of time, and so the other's would have, begun before.
  const { hold: never } = world.holdFile();
  const late = await world.client.start(slow, { hold: never });
  expect(await late.result()).toEqual({ attempt: 2, told: "execution_timeout" });
  const { tasks } = await world.client.runs.get(late.id);
  expect(tasks[0]?.attempts).toMatchObject([
    { outcome: "timed_out", error: { code: "execution_timeout" } },
    { outcome: "completed", error: null },
  ]);
  release();
  expect(await patient.result()).toEqual({ attempt: 1, told: null });
});

/** Runs the saga with these steps failing; its journal, its run, and what onFailure was told. */
async function undo(fails: string[]): Promise<{ journal: string[]; run: Run; told: unknown }> {
  const journal = world.newFile();
  const handle = await world.client.start(trip, { fails, journal });
  await expect(handle.result()).rejects.toBeInstanceOf(RunFailedError);
  const run = await world.client.runs.get(handle.id);
  return {
    journal: readFileSync(journal, "utf8").trim().split("\n"),
    run,
    told: run.tasks.find(({ kind }) => kind === "on_failure")?.output,
  };
}

test("a failed run is undone from its last step to its first, and onFailure is told why", async () => {
  const { journal, run, told } = await undo(["car"]);
  expect(journal).toEqual([
    "flight",
    "hotel after flight",
    "car",
    "undo hotel after flight",
    "undo flight",
    "see to it",
  ]);
  expect(told).toEqual(["car: handler_error: no car"]);
  expect(run.tasks.map(({ kind, state }) => `${kind} ${state}`)).toEqual([
    "step completed",
    "step completed",
    "step failed",
    "compensate completed",
    "compensate completed",
    "on_failure completed",
  ]);
});

test("a compensation that fails is retried and told of, and stops no other", async () => {
  const { journal, told } = await undo(["car", "undo hotel after flight"]);
  expect(journal.slice(3)).toEqual([
    "undo hotel after flight",
    "undo hotel after flight",
    "undo flight",
    "see to it",
  ]);
  expect(told).toEqual([
    "car: handler_error: no car",
    "hotel:compensate: handler_error: no undo hotel after flight",
  ]);
});

test("the example of a saga prints what its page says it does", async () => {
  const example = join(import.meta.dirname, "..", "..", "examples", "order-saga");
  const env = { ...process.env, ...world.environment };
  const { stdout } = await execute(process.execPath, [join(example, "run.ts")], { env });
  const page = readFileSync(join(example, "README.md"), "utf8");
  expect(page).toContain(`\`\`\`\n${stdout.trim()}\n\`\`\``);
});
