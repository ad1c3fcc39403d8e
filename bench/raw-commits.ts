/**
 * The commits that Skein would send for a load, written down as requests: the content is a shard's,
 * but no shard, socket or worker is behind it. Builds only; `raw.ts` sends.
 */
import type { CommitRequest, ResultRow, StartRow } from "../database/rows.ts";
import { newRunId, taskId } from "../protocol/ids.ts";
import type { RawTenant } from "./rig.ts";
import { inputOf, outputOf } from "./workflows.ts";

/** A shard's memory of what it has handed out, as far as the requests need it. */
export class RawShard {
  readonly #tenant: string;
  readonly #epoch: number;
  #seq = 0;

  constructor(tenant: string, epoch: number) {
    this.#tenant = tenant;
    this.#epoch = epoch;
  }

  /** A commit's request under the next seq; `settled` are seqs whose tasks it ends. */
  request(
    starts: StartRow[],
    results: ResultRow[],
    settled: number[],
    actions: readonly string[],
  ): { seq: number; text: string } {
    const seq = ++this.#seq;
    const room = Object.fromEntries(actions.map((action) => [action, results.length]));
    const request: CommitRequest = {
      tenant: this.#tenant,
      shard: 0,
      epoch: this.#epoch,
      seq,
      at: Date.now(),
      room: { default: 0, actions: results.length > 0 ? room : {}, bytes: 24 * 1024 * 1024 },
      ...(starts.length > 0 && { starts }),
      ...(results.length > 0 && { results }),
      ...(settled.length > 0 && { settled }),
    };
    return { seq, text: JSON.stringify(request) };
  }
}

export interface RawWorkflow {
  id: string;
  version: string;
  /** The tenant's, when it was registered. */
  definitions: number;
  /** In the order of the chain. */
  actions: string[];
}

export function rawWorkflow(tenant: RawTenant, name: string, definitions: number): RawWorkflow {
  const registered = tenant.workflows.get(name);
  if (registered === undefined) throw new Error(`Workflow "${name}" is not registered.`);
  const actions = registered.definition.steps.map(({ name: step }) => `${name}:${step}`);
  return { id: registered.id, version: registered.version.id, definitions, actions };
}

export function startRows(workflow: RawWorkflow, count: number): StartRow[] {
  return Array.from({ length: count }, (_, value) => ({
    id: newRunId(),
    w: workflow.id,
    v: workflow.version,
    d: workflow.definitions,
    n: workflow.actions.length,
    i: { ...inputOf(value) },
    m: {},
  }));
}

/** The results of one step of these runs, as a worker reports them. */
export function resultRows(starts: readonly StartRow[], step: number): ResultRow[] {
  const now = Date.now();
  return starts.map(({ id }, value) => ({
    t: taskId(id, step),
    r: id,
    a: 1,
    s: "completed",
    o: outputOf(inputOf(value)),
    w: "bench",
    b: now,
    f: now,
  }));
}

/**
 * A connection's share of a load as a pipeline: each commit starts a batch of runs and carries the
 * results of everything the commit before it has made ready, as in a shard under steady load.
 */
export function pipeline(
  shard: RawShard,
  workflow: RawWorkflow,
  runs: number,
  runsPerCommit: number,
): { commits: string[]; runIds: string[] } {
  const batches: StartRow[][] = [];
  for (let left = runs; left > 0; left -= runsPerCommit) {
    batches.push(startRows(workflow, Math.min(left, runsPerCommit)));
  }
  const steps = workflow.actions.length;
  const commits: string[] = [];
  let before: number[] = [];
  for (let number = 0; number < batches.length + steps; number++) {
    const results = Array.from({ length: steps }, (_, step) =>
      resultRows(batches[number - 1 - step] ?? [], step),
    ).flat();
    const { seq, text } = shard.request(batches[number] ?? [], results, before, workflow.actions);
    commits.push(text);
    before = [seq];
  }
  return { commits, runIds: batches.flat().map(({ id }) => id) };
}
