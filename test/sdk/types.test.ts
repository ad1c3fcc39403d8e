/** The types a program sees, from the schema to the result. Checked by tsc; run they do nothing. */
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import {
  type ChildRun,
  Client,
  type Json,
  type RunHandle,
  type StepFailure,
  worker,
  workflow,
} from "../../sdk/index.ts";

const order = workflow({
  name: "order",
  input: z.object({
    id: z.string(),
    count: z.string().transform(Number),
    note: z.string().optional(),
  }),
});
const charge = order.step("charge", { run: async () => ({ receipt: "r", at: new Date() }) });
const notify = order.step("notify", { run: () => undefined });
const ship = order.step("ship", {
  parents: [charge, notify],
  run: async (ctx) => {
    expectTypeOf(ctx.input).toEqualTypeOf<{
      id: string;
      count: number;
      note?: string | undefined;
    }>();
    expectTypeOf(ctx.parents.charge.receipt).toEqualTypeOf<string>();
    expectTypeOf(ctx.parents.charge.at).toEqualTypeOf<string>();
    expectTypeOf(ctx.parents.notify).toEqualTypeOf<null>();
    // @ts-expect-error: not a parent.
    void ctx.parents.ship;
    return { parcel: 1, tags: ["a"] as const, left: undefined as string | undefined };
  },
});
const shipOrder = order.returns(ship);
const free = workflow({ name: "free" });
// Never called: only its types matter.
const skein = (): Client => new Client();

test("a step's handle carries its literal name and what JSON makes of its output", () => {
  expectTypeOf(charge.name).toEqualTypeOf<"charge">();
  expectTypeOf<NonNullable<(typeof charge)["~output"]>>().toEqualTypeOf<{
    receipt: string;
    at: string;
  }>();
});

test("what is JSON already is as it was, such as the payload of an event", () => {
  const echo = free.step("echo", {
    run: ({ waited }) => ({ payload: waited?.met[0]?.event?.payload ?? null, at: new Date() }),
  });
  expectTypeOf<NonNullable<(typeof echo)["~output"]>>().toEqualTypeOf<{
    payload: Json;
    at: string;
  }>();
});

test("a step without parents has none in its context", () => {
  free.step("alone", { run: (ctx) => expectTypeOf(ctx.parents).toEqualTypeOf<{}>() });
});

test("a workflow without a schema has unknown input, and may be started without any", () => {
  free.step("untyped", { run: (ctx) => void expectTypeOf(ctx.input).toBeUnknown() });
  void (() => skein().start(free));
  void (() => skein().start(free, { anything: 1 }));
});

test("a client gives the schema's input and gets the returned step's output", () => {
  const run = () => skein().run(shipOrder, { id: "1", count: "2" });
  type Shipped = { parcel: number; tags: readonly ["a"]; left: string | undefined };
  expectTypeOf<Awaited<ReturnType<typeof run>>>().toEqualTypeOf<Shipped>();
  const start = () => skein().start(shipOrder, { id: "1", count: "2" }, { idempotencyKey: "k" });
  expectTypeOf<Awaited<ReturnType<typeof start>>>().toEqualTypeOf<RunHandle<Shipped>>();
  // @ts-expect-error: the handler's side of the transform.
  void (() => skein().run(shipOrder, { id: "1", count: 2 }));
  // @ts-expect-error: no input.
  void (() => skein().run(shipOrder));
  // @ts-expect-error: a field is missing.
  void (() => skein().startMany(shipOrder, [{ input: { id: "1" } }]));
});

test("without returns() the result is all outputs by step name", () => {
  const run = () => skein().run(order, { id: "1", count: "2" });
  expectTypeOf<Awaited<ReturnType<typeof run>>>().toEqualTypeOf<Record<string, unknown>>();
});

test("a worker takes workflows of any types", () => {
  void (() => worker({ workflows: [shipOrder, free, order] }));
});

test("a timeout is a number or a text with a unit", () => {
  const define = (): void => {
    free.step("a", { timeout: "30s", run: () => 1 });
    free.step("b", { timeout: 30_000, run: () => 1 });
    // @ts-expect-error: no such unit.
    free.step("c", { timeout: "30 seconds", run: () => 1 });
  };
  void define;
});

test("a compensation is given the step's own output and the step's parents, as its run has them", () => {
  const define = (): void => {
    order.step("pack", {
      parents: [charge],
      run: async (ctx) => ({ box: ctx.parents.charge.receipt, at: new Date() }),
      compensate: async (ctx, output) => {
        expectTypeOf(output).toEqualTypeOf<{ box: string; at: string }>();
        expectTypeOf(ctx.parents.charge.receipt).toEqualTypeOf<string>();
        expectTypeOf(ctx.input.count).toEqualTypeOf<number>();
        // @ts-expect-error: the step itself is no parent.
        void ctx.parents.pack;
      },
    });
    order.step("wrap", {
      run: () => undefined,
      compensate: {
        retries: 3,
        timeout: "1m",
        run: (ctx, output) => {
          expectTypeOf(output).toEqualTypeOf<null>();
          expectTypeOf(ctx.parents).toEqualTypeOf<{}>();
        },
      },
    });
    const handle = order.step("label", {
      run: () => 5,
      compensate: (_ctx, output) => void expectTypeOf(output).toEqualTypeOf<number>(),
    });
    expectTypeOf<NonNullable<(typeof handle)["~output"]>>().toEqualTypeOf<number>();
    // @ts-expect-error: an output of another type.
    order.step("stamp", { run: () => 5, compensate: (_ctx, output: string) => output });
  };
  void define;
});

test("onFailure is given the workflow's input and what failed", () => {
  const define = (): void => {
    order.onFailure({
      retries: 1,
      run: (ctx) => {
        expectTypeOf(ctx.failures).toEqualTypeOf<readonly StepFailure[]>();
        expectTypeOf(ctx.input.count).toEqualTypeOf<number>();
      },
    });
  };
  void define;
});

test("a child takes its schema's input and gives its workflow's result", () => {
  free.step("spawning", {
    run: async (ctx) => {
      const child = await ctx.spawn(shipOrder, { id: "1", count: "2" }, { key: "k" });
      type Shipped = { parcel: number; tags: readonly ["a"]; left: string | undefined };
      expectTypeOf(child).toEqualTypeOf<ChildRun<Shipped>>();
      expectTypeOf(await child.result({ keepSlot: true })).toEqualTypeOf<Shipped>();
      const many = await ctx.spawnMany(shipOrder, [{ input: { id: "1", count: "2" }, key: "k" }]);
      expectTypeOf(many).toEqualTypeOf<ChildRun<Shipped>[]>();
      await ctx.spawn(free);
      // @ts-expect-error: no input.
      await ctx.spawn(shipOrder);
      // @ts-expect-error: the handler's side of the transform.
      await ctx.spawn(shipOrder, { id: "1", count: 2 });
      // @ts-expect-error: no such option.
      await ctx.spawn(shipOrder, { id: "1", count: "2" }, { name: "k" });
    },
  });
});

test("runs are cancelled by states that end, and replayed by states that have ended", () => {
  void (() => skein().runs.cancelMany({ state: "running" }));
  void (() => skein().runs.replayMany({ state: "failed", since: new Date() }));
  // @ts-expect-error: it has ended.
  void (() => skein().runs.cancelMany({ state: "completed" }));
  // @ts-expect-error: it has not ended.
  void (() => skein().runs.replayMany({ state: "running" }));
  const replay = () => skein().runs.replay("run-1", { fromStep: "ship" });
  expectTypeOf<Awaited<ReturnType<typeof replay>>>().toEqualTypeOf<
    RunHandle<{ [step: string]: Json }>
  >();
});

test("a handler may return any JSON, alone and within something", () => {
  const any = workflow({ name: "any" });
  const why = any.step("why", { run: ({ filter }) => filter?.payload });
  const told = any.step("told", {
    run: ({ filter }) => ({ at: new Date(), why: filter?.payload }),
  });
  any.step("last", {
    parents: [why, told],
    run: ({ parents }) => {
      expectTypeOf(parents.why).toEqualTypeOf<Json>();
      expectTypeOf(parents.told).toEqualTypeOf<{ at: string; why: Json }>();
    },
  });
});
