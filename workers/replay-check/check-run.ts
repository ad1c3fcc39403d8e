/**
 * Holds one recorded run against a definition. Pure: nothing is executed, read or written.
 */
import type { Divergence } from "../../protocol/replay-check-bodies.ts";
import { matchEvent } from "../matching/match-event.ts";
import { type Candidate, stepsOf } from "./candidate.ts";
import { compareEnd } from "./ends.ts";
import { Findings } from "./findings.ts";
import type { Recorded } from "./recorded.ts";
import { Walk } from "./walk.ts";

/** Where the run would have gone another way; none: it would have gone the same. */
export function checkRun(recorded: Recorded, candidate: Candidate): Divergence[] {
  const { run, event } = recorded;
  const findings = new Findings(run);
  if (event !== null && !isStartedBy(event.key, candidate)) {
    const now = `its events are ${candidate.definition.events?.join(", ") ?? "none"}`;
    findings.add(null, "not_started", `"${event.key}" started it`, now);
  }
  const oldSteps = stepsOf(recorded.version.definition) ?? [];
  const walk = new Walk(
    recorded,
    candidate,
    new Map(oldSteps.map((row) => [row.name, row])),
    findings,
  );
  walk.take();
  compareEnd(recorded, candidate, walk, findings);
  return findings.list;
}

/** By its key: whether a filter would let it is asked of no replay. */
function isStartedBy(key: string, { triggers }: Candidate): boolean {
  const event = { key, id: "", scope: undefined, payload: null, metadata: {} };
  return matchEvent(event, triggers).starts.length > 0;
}
