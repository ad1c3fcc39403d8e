/**
 * The worker under test: the SDK as it is published, in a process of its own. Around it there is
 * only a count of the shard's acknowledgements, read off the socket, so that the end of a load is
 * known without asking the database while it works.
 */
import { Client, worker } from "@skein/sdk";
import { serveParent } from "../local/child-side.ts";
import { machineMs } from "./clock.ts";
import {
  countStarted,
  type Observations,
  oneAKey,
  oneStep,
  takeObservations,
  threeSteps,
} from "./workflows.ts";

export interface BenchWorkerOptions {
  url: string;
  token: string;
  slots: number;
}

/** The answer to `whenRecorded`. */
export interface Recorded {
  /** When the last acknowledgement came, by `machineMs`. */
  lastAt: number;
  /** Results that a shard refused as `stale` or `gone`. */
  refused: number;
  observations: Observations;
}

/** A load that makes no progress for so long has failed. */
const QUIET_LIMIT_MS = 20_000;

const counts = { recorded: 0, refused: 0, lastAt: 0 };
let wake = (): void => {};

/** Node's WebSocket, which the SDK takes from here, with an ear on what comes in. */
class CountingWebSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    this.addEventListener("message", ({ data }: { data: unknown }) => {
      const text = String(data);
      const recorded = countOf(text, '"type":"recorded"');
      counts.refused += countOf(text, '"type":"stale"') + countOf(text, '"type":"gone"');
      if (recorded === 0) return;
      counts.recorded += recorded;
      counts.lastAt = machineMs();
      wake();
    });
  }
}

serveParent<BenchWorkerOptions, null>(async ({ url, token, slots }, { fail }) => {
  globalThis.WebSocket = CountingWebSocket as typeof WebSocket;
  const running = worker({
    workflows: [oneStep, threeSteps, oneAKey],
    slots,
    client: new Client({ url, token }),
    name: "bench",
    signals: [],
    log: (level, text) => {
      if (level !== "info") console.error(`worker: ${text}`);
    },
  });
  await running.start();
  running.stopped.catch((error: unknown) => fail(new Error(String(error))));
  return {
    ready: null,
    answers: {
      async reset() {
        takeObservations();
        Object.assign(counts, { recorded: 0, refused: 0, lastAt: 0 });
      },
      whenRecorded: (count) => whenRecorded(Number(count)),
      async pause() {
        running.pause();
      },
      async resume() {
        running.resume();
      },
      whenStarted: (count) => whenStarted(Number(count)),
    },
    close: () => running.stop({ graceMs: 0 }),
  };
});

async function whenRecorded(count: number): Promise<Recorded> {
  await until(() => counts.recorded >= count, count);
  return { lastAt: counts.lastAt, refused: counts.refused, observations: takeObservations() };
}

/** A task that has begun is soon recorded, so the count changes at the latest then. */
async function whenStarted(count: number): Promise<number[]> {
  await until(() => countStarted() >= count, count);
  return takeObservations().start;
}

async function until(isReached: () => boolean, count: number): Promise<void> {
  while (!isReached()) {
    const before = counts.recorded;
    const isQuiet = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), QUIET_LIMIT_MS);
      wake = () => {
        clearTimeout(timer);
        resolve(false);
      };
    });
    if (isQuiet && counts.recorded === before) {
      throw new Error(
        `Of ${count} results ${before} were recorded, then none for ${QUIET_LIMIT_MS} ms.`,
      );
    }
  }
}

function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}
