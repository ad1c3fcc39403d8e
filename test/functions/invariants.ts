/**
 * What holds of a tenant's tables between any two commits, asked of the tables themselves: above all
 * that every run that has not ended has something that will move it.
 */
import { expect } from "vitest";
import type { TestShard } from "./support.ts";

/** Each returns the ids that break it. */
const BROKEN = {
  "a ready task is in exactly one place": `
    select t.id from tasks t where t.state in ('queued', 'running') and 1 <>
      (select count(*) from v1.queue_item q where q.task_id = t.id)
      + (select count(*) from v1.handout h where h.tenant_id = $1 and t.id = any (h.tasks))`,
  "a task in backoff has a timer, and no other task has": `
    select t.id from tasks t
      where (t.state = 'backoff') <> exists (select from v1.timer i where i.id = t.id and i.kind = 'retry')`,
  "a run that has not ended has something that will move it": `
    select r.id from runs r where r.is_open
      and not exists (select from tasks t where t.run_id = r.id and t.state in ('queued', 'running', 'backoff'))
      and not exists (select from v1.timer i where i.id = r.id and i.kind = 'release')`,
  "the shard of a run that has not ended has something left": `
    select r.id from runs r where r.is_open and v1.is_shard_empty($1, r.shard)`,
  "a run counts the tasks that have not ended": `
    select r.id from runs r where r.remaining <>
      (select count(*) from tasks t where t.run_id = r.id and t.state in ('waiting', 'queued', 'running', 'backoff'))`,
  "a run has ended when it has nothing left, and only then": `
    select r.id from runs r where r.is_open <> (r.remaining > 0) or r.is_open <> (r.finished_at is null)`,
  "a run has completed when nothing went wrong, and only then": `
    select r.id from runs r where r.state = 'completed'
      and (r.failed > 0 or r.error is not null
           or exists (select from tasks t where t.run_id = r.id and t.state <> 'completed'))`,
  "a waiting task counts the parents it waits for": `
    select t.id from tasks t join runs r on r.id = t.run_id
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
      where t.state = 'waiting' and t.pending <>
        (select count(*) from tasks p where p.run_id = r.id and p.step = any (d.parents) and p.state <> 'completed')
        + (exists (select from v1.timer i where i.id = r.id and i.kind = 'release')
           and d.parents <@ coalesce(r.reused, '{}'))::integer`,
  "only a run whose steps are not over has a timeout": `
    select r.id from runs r join v1.timer i on i.id = r.id and i.kind in ('timeout', 'release')
      where not exists (select from tasks t join v1.dag d on d.version_id = r.version_id and d.step = t.step
        where t.run_id = r.id and d.kind = 'step' and t.state in ('waiting', 'queued', 'running', 'backoff'))`,
  "one step at a time undoes what a failed run has done": `
    select t.run_id from tasks t join runs r on r.id = t.run_id
      join v1.dag d on d.version_id = r.version_id and d.step = t.step and d.kind <> 'step'
      where t.state in ('queued', 'running', 'backoff') and r.remaining <> 1`,
  "only a run that has not ended waits for events": `
    select m.run_id from v1.match m where m.tenant_id = $1
      and not exists (select from runs r where r.id = m.run_id and r.is_open and r.has_matches)`,
  "a child knows its parent, and its parent knows it": `
    select r.id from runs r where r.parent_id is not null and not exists
      (select from v1.child_run c where c.parent_id = r.parent_id and c.key = r.parent_key and c.run_id = r.id)`,
};

/** Fails with what is broken, and where. */
export async function expectSound(shard: TestShard): Promise<void> {
  const parts = Object.entries(BROKEN).map(
    ([rule, query]) => `select '${rule}' as rule, broken.id from (${query}) broken(id)`,
  );
  const found = await shard.rows(
    `with runs as (select *, state in ('queued', 'running') as is_open
                     from v1.workflow_run where tenant_id = $1),
          tasks as (select t.*, r.id as run_id from v1.task t join runs r on r.id = v1.run_id(t.id))
     ${parts.join("\nunion all ")}`,
    [shard.tenant],
  );
  expect(found).toEqual([]);
}
