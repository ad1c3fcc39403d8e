/** Workers that connect all at once: some are let in, the others come back in their turn and lose nothing. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test, vi } from "vitest";
import { DispatcherShard } from "../../durable-objects/dispatcher-shard.ts";
import {
  LATE_FOR_PLACE_MS,
  MAX_HANDSHAKES_PER_SECOND,
  MAX_KEPT_MS,
  REFUSALS_PERIOD_MS,
} from "../../durable-objects/dispatcher/limits.ts";
import type { ShardLoad } from "../../protocol/http.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

let world: World;
/** The other ends of sockets on which nothing is said. */
let others: (WebSocket | null)[];

useVirtualTime();

const ACTIONS = ["job:only"];

beforeEach(async () => {
  others = [];
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
});

/** As many sockets as make whoever comes next wait so long, straight to the shard; `session`: they resume it. */
async function crowd(waitMs: number, session?: string): Promise<void> {
  const count = MAX_HANDSHAKES_PER_SECOND / 2 + (waitMs * MAX_HANDSHAKES_PER_SECOND) / 2_000;
  const said = session === undefined ? "place=" : `place=&session=${session}`;
  await runInDurableObject(world.shard, (shard) => {
    for (let index = 0; index < count; index++) {
      const { webSocket } = shard.fetch(new Request(`http://skein.test/?${said}`));
      webSocket?.accept();
      webSocket?.addEventListener("close", () => webSocket.close());
      others.push(webSocket);
    }
  });
}

async function refused(said: Record<string, string>): Promise<FakeWorker> {
  const worker = await world.openSocket({}, { said });
  expect(await worker.closed).toEqual({ code: 1013, reason: "too_many_handshakes" });
  worker.answerClose();
  return worker;
}

/** What the next life of the shard would know. */
const keptGraceOf = (session: string): Promise<number> =>
  runInDurableObject(world.shard, (_shard, { storage }) => {
    const text = "select record->>'resumeGraceMs' as ms from session where id = ?";
    return Number(storage.sql.exec<{ ms: number }>(text, session).one().ms);
  });

const countSockets = (): Promise<number> =>
  runInDurableObject(world.shard, (_shard, state) => state.getWebSockets().length);

test("one too many is sent away before it has said a word, and comes in at its place", async () => {
  await crowd(1_000);
  const sockets = await countSockets();
  const worker = await refused({ place: "" });
  const {
    retryAfterMs = 0,
    place = "",
    detail,
  } = await worker.receive("error", {
    code: "too_many_handshakes",
  });
  expect(detail).toBe(`Too many workers connect at once. Come back in ${retryAfterMs} ms.`);
  expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
  expect(retryAfterMs).toBeLessThan(1_100);
  expect(await countSockets()).toBe(sockets); // nothing of it is kept

  await refused({ place: "" });
  await world.advance(retryAfterMs);
  await refused({ place: "" }); // without the place it stands behind those who have one
  const back = await world.openSocket({}, { said: { place } });
  expect(await back.hello({ actions: ACTIONS })).toMatchObject({ shard: 0 });
});

test("a worker that knows nothing of places is told by the close alone", async () => {
  await crowd(0);
  const worker = await refused({});
  expect(worker.unread).toEqual([]);
});

test("attempts outlive a refusal that is longer than the grace, and end when nobody comes back", async () => {
  const first = { actions: ACTIONS, worker: "first", resumeGraceMs: 1_000 };
  const worker = await world.connectWorker(first);
  await world.startRun({ workflow: "job" });
  const { task, attempt } = await worker.receiveTask();
  const session = worker.welcome?.session ?? "";
  const away = await world.connectWorker({ actions: ACTIONS, worker: "second", slots: 1 });
  worker.vanish();
  await world.settled();
  await world.advance(500);

  await crowd(2_000, session);
  const sent = await refused({ place: "", session });
  const { retryAfterMs = 0, place = "", resumeGraceMs = 0 } = await sent.receive("error");
  expect(retryAfterMs).toBeGreaterThan(first.resumeGraceMs);
  expect(resumeGraceMs).toBe(retryAfterMs + LATE_FOR_PLACE_MS);
  expect(await keptGraceOf(session)).toBe(500 + resumeGraceMs); // counted from the close
  await world.advance(retryAfterMs);
  expect(away.unread).toEqual([]);
  const running = [{ task, attempt }];
  const back = await world.openSocket({}, { said: { place, session } });
  const welcome = await back.hello({ ...first, session, running });
  expect(welcome).toMatchObject({ session, resumed: running, resumeGraceMs: 1_000 });

  back.vanish();
  await world.settled();
  await crowd(2_000, session);
  const again = await refused({ place: "", session });
  const { resumeGraceMs: keptMs = 0 } = await again.receive("error");
  await world.advance(keptMs - 1);
  expect(await away.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  expect(await away.receiveTask()).toMatchObject({ task, attempt: attempt + 1 });
});

test("a worker that is sent away again and again is not kept for ever", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, resumeGraceMs: 60_000 });
  await world.startRun({ workflow: "job" });
  await worker.receiveTask();
  const session = worker.welcome?.session ?? "";
  worker.vanish();
  await world.settled();
  const closedAt = Date.now();
  for (const [afterMs, keptMs] of [
    [59_000, undefined],
    [31_000, MAX_KEPT_MS],
  ] as const) {
    await world.advance(afterMs);
    await crowd(25_000, session);
    const sent = await refused({ place: "", session });
    const { resumeGraceMs = 0 } = await sent.receive("error");
    if (keptMs !== undefined) expect(Date.now() + resumeGraceMs - closedAt).toBe(keptMs);
  }
});

test("one that comes back before its old socket is known to be gone keeps its attempts as well", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, heartbeatLimitMs: 2_000 });
  await world.startRun({ workflow: "job" });
  const { task, attempt } = await worker.receiveTask();
  const session = worker.welcome?.session ?? "";
  await crowd(2_500, session); // among them the worker: its machine has changed networks
  expect(await worker.closed).toMatchObject({ code: 4409 });
  const sent = await refused({ place: "", session });
  const { retryAfterMs = 0, place = "" } = await sent.receive("error");
  await world.advance(retryAfterMs);
  const running = [{ task, attempt }];
  const back = await world.openSocket({}, { said: { place, session } });
  expect(await back.hello({ actions: ACTIONS, session, running })).toMatchObject({
    resumed: running,
  });
});

test("those that resume a session come before new ones, also when these were here first", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS });
  const session = worker.welcome?.session ?? "";
  worker.vanish();
  await world.settled();
  await crowd(5_000);
  const { retryAfterMs: ofNew = 0 } = await (await refused({ place: "" })).receive("error");
  const { retryAfterMs = 0 } = await (await refused({ place: "", session })).receive("error");
  expect(ofNew).toBeGreaterThanOrEqual(5_000);
  expect(retryAfterMs).toBeLessThan(10);
});

test("a shard that has sent workers away can sleep, also when they don't answer its close", async () => {
  for (let count = 0; count < MAX_HANDSHAKES_PER_SECOND / 2; count++) await world.openSocket();
  const answering = await world.openSocket({}, { said: { place: "" } });
  await answering.receive("error");
  answering.answerClose();
  const silent = await world.openSocket({}, { said: { place: "" } });
  await silent.receive("error");
  await world.evictShard();
});

test("refusals are counted, and told of in the log together: at once, and once in a while", async () => {
  const refusals = await runInDurableObject(world.shard, async (_shard, state) => {
    const said: unknown[] = [];
    vi.spyOn(console, "log").mockImplementation((line: string) => {
      const { level, event, refused } = JSON.parse(line) as Record<string, unknown>;
      said.push([level, event, refused]);
    });
    const shard = new DispatcherShard(state, { ...world.env, LOG_LEVEL: "warn" });
    const knock = (): void => {
      const { webSocket } = shard.fetch(new Request("http://skein.test/?place="));
      webSocket?.accept();
      others.push(webSocket);
    };
    for (let count = 0; count < MAX_HANDSHAKES_PER_SECOND / 2; count++) knock();
    expect(said).toEqual([]);
    for (let count = 0; count < 100; count++) knock();
    expect(said).toEqual([["warn", "handshakes.refused", 1]]);
    const due = await state.storage.getAlarm();
    expect(due).toBe(Date.now() + REFUSALS_PERIOD_MS);
    vi.setSystemTime(due ?? 0);
    await shard.alarm();
    expect(said.slice(1)).toEqual([["warn", "handshakes.refused", 99]]);
    return shard.load().refusedHandshakes;
  });
  vi.restoreAllMocks();
  expect(refusals).toBe(100);
  const { body } = await world.call<ShardLoad>("GET", "/shards/0");
  expect(body).toMatchObject({ refusedHandshakes: 0 }); // of the shard that was not crowded
});

test("nobody resumes the session of Skein's own worker", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, session: "skein" });
  expect(worker.welcome?.session).not.toBe("skein");
});
