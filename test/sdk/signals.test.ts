/** A worker as its own process, stopped the way an operating system stops one. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CLOSE_DRAINED } from "../../protocol/errors.ts";
import { type FakeSession, FakeShard, task, TOKEN } from "./fake-shard.ts";

async function startProcess(step: string): Promise<{ child: ChildProcess; session: FakeSession }> {
  const shard = await FakeShard.start();
  onTestFinished(() => shard.stop());
  const child = fork(join(import.meta.dirname, "worker-process.ts"), {
    env: { ...process.env, SKEIN_URL: shard.url, SKEIN_TOKEN: TOKEN },
    execArgv: [],
    silent: true,
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const session = (await shard.session()).welcome();
  session.send(task({ step }));
  await once(child, "message");
  return { child, session };
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s lets the running task end, then the process",
  async (signal) => {
    const { child, session } = await startProcess("charge");
    child.kill(signal);
    await session.next("drain");
    child.send("finish");
    expect(await session.next("completed")).toMatchObject({ output: "finished" });
    session.send({ type: "recorded", task: "task-1", attempt: 1 });
    expect(await session.closed).toMatchObject({ code: CLOSE_DRAINED });
    expect(await once(child, "exit")).toEqual([0, null]);
  },
);

test("a second signal aborts the running task", async () => {
  const { child, session } = await startProcess("patient");
  child.kill("SIGTERM");
  await session.next("drain");
  child.kill("SIGTERM");
  expect(await session.next("completed")).toMatchObject({ output: "aborted" });
  session.send({ type: "recorded", task: "task-1", attempt: 1 });
  expect(await once(child, "exit")).toEqual([0, null]);
});
