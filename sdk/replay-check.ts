/** Holding recorded runs against another definition, before it takes any: `client.workflows.replayCheck`. */
import type { RunExport } from "../protocol/history-bodies.ts";
import type { WorkflowDefinition } from "../protocol/http.ts";
import type {
  CheckedRuns,
  CheckReplay,
  Divergence,
  ReplayCheck,
} from "../protocol/replay-check-bodies.ts";
import { MAX_BULK } from "../protocol/limits.ts";
import { pieces } from "./bulk.ts";
import type { Http } from "./http.ts";
import { timeText } from "./runs.ts";

/** Divergences that the text names, each with its run. */
const MAX_IN_TEXT = 20;

/** Of documents in one call: the largest body, less what a definition may take. */
const MAX_DOCUMENTS_BYTES = 12 * 1024 * 1024;

/** What runs are held against: a workflow as it is written, or a registered version of one. */
export type CheckedWorkflow =
  | { definition(): WorkflowDefinition }
  | { name: string; version: number };

export interface ReplayCheckOptions {
  /** Which finished runs: default the last hundred, unless documents or imports are given. */
  runs?:
    | {
        /** These; not with what follows. At most 1,000. */
        ids?: readonly string[] | undefined;
        /** How many at most, the last. Default 100, at most 1,000. */
        last?: number | undefined;
        state?: CheckedRuns["state"] | undefined;
        since?: Date | string | undefined;
        until?: Date | string | undefined;
        /** Only of this version. */
        version?: number | undefined;
      }
    | undefined;
  /** Exports of finished runs, as `client.runs.export` gives them: fixtures in a repository. */
  documents?: readonly RunExport[] | undefined;
  /** Ids of imports. */
  imports?: readonly string[] | undefined;
  signal?: AbortSignal | undefined;
}

/** What was found: counts, the divergences, and all of it as a text to read. */
export class ReplayCheckResult {
  readonly workflow: string;
  readonly checked: number;
  /** Runs that would have gone the same way, and runs that would not. */
  readonly same: number;
  readonly divergent: number;
  /** Divergences by kind, also of those that are not listed. */
  readonly byKind: { readonly [kind: string]: number };
  readonly divergences: readonly Divergence[];
  /** Divergences that are not listed. */
  readonly more: number;
  /** Runs that are too large to be checked. */
  readonly tooLarge: readonly string[];

  constructor(found: Omit<ReplayCheck, "version" | "nextCursor">) {
    this.workflow = found.workflow;
    this.checked = found.checked;
    this.same = found.same;
    this.divergent = found.divergent;
    this.byKind = found.byKind;
    this.divergences = found.divergences;
    this.more = found.more;
    this.tooLarge = found.tooLarge;
  }

  /** Whether every run that was checked would have gone the same way. */
  get isSame(): boolean {
    return this.divergent === 0;
  }

  /** To be read: what a failing test prints. */
  toString(): string {
    const runs = `${this.checked} ${this.checked === 1 ? "run" : "runs"} of "${this.workflow}"`;
    const left = this.tooLarge.map((run) => `  ${run} is too large to be checked.`);
    if (this.isSame) return [`${runs} would have gone the same way.`, ...left].join("\n");
    const shown = this.divergences.slice(0, MAX_IN_TEXT);
    const more = this.divergences.length - shown.length + this.more;
    return [
      `${this.divergent} of ${runs} would have gone another way:`,
      ...shown.map(({ run, version, message }) => `  ${run} (version ${version}): ${message}`),
      ...(more > 0 ? [`  and ${more} more divergences.`] : []),
      ...left,
    ].join("\n");
  }
}

/** @internal Calls until all has been checked, and adds up. */
export async function checkReplay(
  http: Http,
  workflow: CheckedWorkflow,
  options: ReplayCheckOptions,
): Promise<ReplayCheckResult> {
  const against = candidateOf(workflow);
  const answers: ReplayCheck[] = [];
  const send = async (body: string): Promise<ReplayCheck> => {
    const path = `/workflows/${encodeURIComponent(against.name)}/check`;
    const answer = await http.request<ReplayCheck>("POST", path, { body, signal: options.signal });
    answers.push(answer);
    return answer;
  };
  for (const call of documentCalls(against.fields, options)) await send(call);
  if (options.runs !== undefined || answers.length === 0) {
    const fields = { ...against.fields, runs: wireRuns(options.runs) };
    for (let cursor: string | null = null; ;) {
      const asked: CheckReplay = cursor === null ? fields : { ...fields, cursor };
      ({ nextCursor: cursor } = await send(JSON.stringify(asked)));
      if (cursor === null) break;
    }
  }
  return new ReplayCheckResult(sumOf(against.name, answers));
}

type Fields = Pick<CheckReplay, "definition" | "version">;

function candidateOf(workflow: CheckedWorkflow): { name: string; fields: Fields } {
  if ("definition" in workflow) {
    const definition = workflow.definition();
    return { name: definition.name, fields: { definition } };
  }
  return { name: workflow.name, fields: { version: workflow.version } };
}

function documentCalls(
  fields: Fields,
  { documents = [], imports = [] }: ReplayCheckOptions,
): string[] {
  const ofImports = imports.length === 0 ? [] : [JSON.stringify({ ...fields, imports })];
  const head = JSON.stringify(fields).slice(0, -1);
  const texts = documents.map((document) => JSON.stringify(document));
  const maximum = { count: MAX_BULK, bytes: MAX_DOCUMENTS_BYTES };
  const ofDocuments = [...pieces(texts, (text) => text, maximum)].map(
    (piece) => `${head},"documents":[${piece.join(",")}]}`,
  );
  return [...ofDocuments, ...ofImports];
}

function wireRuns(runs: ReplayCheckOptions["runs"] = {}): CheckedRuns {
  const fields = { ...runs, since: timeText(runs.since), until: timeText(runs.until) };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

function sumOf(
  workflow: string,
  answers: readonly ReplayCheck[],
): Omit<ReplayCheck, "version" | "nextCursor"> {
  const byKind: { [kind: string]: number } = {};
  for (const answer of answers) {
    for (const [kind, count] of Object.entries(answer.byKind)) {
      byKind[kind] = (byKind[kind] ?? 0) + count;
    }
  }
  const sum = (of: (answer: ReplayCheck) => number): number =>
    answers.reduce((total, answer) => total + of(answer), 0);
  return {
    workflow,
    checked: sum(({ checked }) => checked),
    same: sum(({ same }) => same),
    divergent: sum(({ divergent }) => divergent),
    byKind,
    divergences: answers.flatMap(({ divergences }) => divergences),
    more: sum(({ more }) => more),
    tooLarge: answers.flatMap(({ tooLarge }) => tooLarge),
  };
}
