/**
 * Reads the whole history of the runs from the API, a few at a time. A run that has not finished is
 * waited for, within bounds; what is still unfinished then is told as it is.
 */
import { type Client, type Run, SkeinError } from "@skein/sdk";

/** Runs read at once. */
const READERS = 6;

/** Milliseconds that runs have to finish once the publishing is over and nothing moves any more. */
const LAST_WAIT_MS = 20_000;

export async function readHistory(
  skein: Client,
  ids: readonly string[],
  onRead: (count: number) => void,
): Promise<Run[]> {
  const runs: Run[] = [];
  const givesUpAt = Date.now() + LAST_WAIT_MS;
  const queue = ids.values();
  const readNext = async (): Promise<void> => {
    for (const id of queue) {
      runs.push(await readFinished(skein, id, givesUpAt));
      onRead(runs.length);
    }
  };
  await Promise.all(Array.from({ length: READERS }, readNext));
  return runs;
}

async function readFinished(skein: Client, id: string, givesUpAt: number): Promise<Run> {
  const run = await skein.runs.get(id);
  if (run.finishedAt !== null) return run;
  try {
    await skein.runs.result(id, { timeoutMs: Math.max(0, givesUpAt - Date.now()) });
  } catch (error) {
    // Whether it finished in time is for the checks to say.
    if (!(error instanceof SkeinError && error.code === "result_timeout")) throw error;
  }
  return await skein.runs.get(id);
}
