/** The runtime around the Worker: it can die and come back, and its shards with it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildWorker } from "../../local/build-worker.ts";
import { freePort } from "../../local/free-port.ts";
import { isAlive } from "../../local/process-tree.ts";
import { startWorkerd, type Workerd } from "../../local/workerd.ts";

let directory: string;
let bundle: string;
let workerd: Workerd;
const lines: string[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  bundle = await buildWorker({
    config: join(import.meta.dirname, "worker", "wrangler.toml"),
    directory: join(directory, "bundle"),
  });
  workerd = await startWorkerd({
    bundle,
    variables: { ADMIN_SECRET: "told" },
    persist: join(directory, "storage"),
    log: (line) => lines.push(line),
  });
}, 30_000);

afterAll(async () => {
  await workerd?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function visit(): Promise<{ visits: number; instance: string }> {
  return (await (await fetch(workerd.url)).json()) as { visits: number; instance: string };
}

async function openSocket(): Promise<WebSocket> {
  const socket = new WebSocket(workerd.url.replace("http", "ws"));
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  return socket;
}

async function askInstance(socket: WebSocket): Promise<unknown> {
  const answer = new Promise((resolve) =>
    socket.addEventListener("message", ({ data }) => resolve(data), { once: true }),
  );
  socket.send("who are you?");
  return await answer;
}

test("the Worker gets its variables, and its log lines come out one by one", async () => {
  const answer = await fetch(`${workerd.url}/health`);
  expect(await answer.json()).toMatchObject({ status: "ok", secret: "told" });
  await expect.poll(() => lines).toContain('{"level":"info","event":"health_asked"}');
});

test("scheduled duties run when they are told to", async () => {
  await workerd.runScheduled();
  const answer = await fetch(`${workerd.url}/health`);
  expect(await answer.json()).toMatchObject({ scheduledRuns: 1 });
});

test("an evicted shard keeps its storage, and its sockets if they may hibernate", async () => {
  const before = await visit();
  const socket = await openSocket();
  expect(await askInstance(socket)).toBe(before.instance);

  await workerd.evictShard({ name: "tenant-0", webSockets: "hibernate" });
  expect(await askInstance(socket)).not.toBe(before.instance);
  const after = await visit();
  expect(after.visits).toBe(before.visits + 1);

  const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  await workerd.evictShard({ name: "tenant-0", webSockets: "close" });
  await closed;
  expect((await visit()).instance).not.toBe(after.instance);
});

test("crashed shards lose their sockets and their memory, and keep their storage", async () => {
  const before = await visit();
  const socket = await openSocket();
  const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  expect(await askInstance(socket)).toBe(before.instance);
  await workerd.crashShards();
  await closed;
  const after = await visit();
  expect(after.instance).not.toBe(before.instance);
  expect(after.visits).toBe(before.visits + 1);
});

test("killed workerd comes back on the same port with its Durable Objects' storage", async () => {
  const { url, pid } = workerd;
  const before = await visit();
  await workerd.kill();
  expect(isAlive(pid)).toBe(false);
  await expect(fetch(url)).rejects.toThrow("fetch failed");
  await workerd.restart();
  expect(workerd.url).toBe(url);
  expect(workerd.pid).not.toBe(pid);
  expect((await visit()).visits).toBe(before.visits + 1);
});

test("a bundle that does not start is told, and the one before runs again", async () => {
  const broken = join(directory, "broken");
  mkdirSync(broken);
  writeFileSync(join(broken, "index.js"), "throw new Error('no such module');");
  await expect(workerd.restart(broken)).rejects.toThrow();
  expect((await fetch(`${workerd.url}/health`)).status).toBe(200);
});

test("a port that is taken is named before anything is started", async () => {
  const port = Number(new URL(workerd.url).port);
  const second = startWorkerd({ bundle, port, variables: {}, persist: join(directory, "second") });
  await expect(second).rejects.toThrow(`Port ${port} of 127.0.0.1 can't be used`);
  expect(await freePort()).not.toBe(port);
});

test("source that can't be built says what is wrong with it", async () => {
  const config = join(directory, "wrangler.toml");
  writeFileSync(config, 'name = "x"\nmain = "x.ts"\ncompatibility_date = "2026-10-20"\n');
  writeFileSync(join(directory, "x.ts"), "export default { fetch( };");
  const failed = buildWorker({ config, directory: join(directory, "nothing") });
  await expect(failed).rejects.toThrow(/could not be built[^]*x\.ts/);
});
