/**
 * One worker's credits among shards that are played: their messages arrive in order, whenever the test says;
 * sockets break. What a shard believes and what the worker runs is counted as plainly as it can be.
 */
import { hasChanged } from "../../durable-objects/dispatcher/slot-demand.ts";
import { Credits } from "../../sdk/session/credits.ts";

interface PlayedTask {
  slots: number;
  shard: number;
}

type ToShard =
  | { type: "hello"; slots: number; running: Set<PlayedTask> }
  | { type: "slots"; slots: number }
  | { type: "done"; task: PlayedTask };
type ToWorker =
  | { type: "welcome" }
  | { type: "slots" }
  | { type: "wanted"; slots: number; least: number }
  | { type: "task"; task: PlayedTask };

class PlayedShard {
  readonly number: number;
  isUp = false;
  slots = 0;
  readonly queue: PlayedTask[] = [];
  readonly held = new Set<PlayedTask>();
  told = { slots: 0, least: 0 };
  toShard: ToShard[] = [];
  toWorker: ToWorker[] = [];
  started = 0;

  constructor(number: number) {
    this.number = number;
  }

  get used(): number {
    return slotsOf(this.held);
  }
}

export class CreditPlay {
  readonly slots: number;
  readonly shards: PlayedShard[];
  readonly credits: Credits<PlayedShard>;
  readonly running = new Set<PlayedTask>();
  /** Words about slots that were said in either direction. */
  said = 0;

  constructor(slots: number, shards: number) {
    this.slots = slots;
    this.credits = new Credits(slots);
    this.shards = Array.from({ length: shards }, (_, number) => new PlayedShard(number));
    for (const shard of this.shards) this.credits.join(shard);
  }

  /** The most that shards could have at this moment, whatever comes next. */
  get exposed(): number {
    return this.shards.reduce((sum, shard) => {
      const running = slotsOf([...this.running].filter((task) => task.shard === shard.number));
      // Those that have ended here are not used any more, whether or not the shard has heard of it.
      const coming = slotsOf([...shard.held].filter((task) => !this.ended.has(task)));
      return sum + (shard.isUp ? Math.max(shard.slots, running + coming) : running);
    }, 0);
  }

  get isQuiet(): boolean {
    return this.shards.every(({ toShard, toWorker }) => toShard.length + toWorker.length === 0);
  }

  connect(number: number): void {
    const shard = this.#at(number);
    if (shard.isUp || shard.toShard.length > 0) return;
    const running = new Set([...this.running].filter((task) => task.shard === number));
    shard.toShard.push({ type: "hello", slots: this.credits.greet(shard), running });
    this.#plan();
  }

  connectAll(): this {
    for (const { number } of this.shards) this.connect(number);
    return this;
  }

  /** The socket breaks: what is on its way is lost, and the shard offers nothing by it. */
  drop(number: number): void {
    const shard = this.#at(number);
    shard.isUp = false;
    shard.toShard = [];
    shard.toWorker = [];
    this.credits.close(shard);
    this.#plan();
  }

  add(number: number, slots = 1, count = 1): void {
    const shard = this.#at(number);
    for (let index = 0; index < count; index++) shard.queue.push({ slots, shard: number });
    this.#settle(shard);
  }

  /** The handler of one of the tasks ends; nothing when none runs. */
  complete(which: number): void {
    const tasks = [...this.running];
    const task = tasks[which % Math.max(1, tasks.length)];
    if (task === undefined) return;
    this.running.delete(task);
    const shard = this.#at(task.shard);
    this.credits.use(shard, -task.slots);
    // One that ends without a socket is said to have ended by the next hello, which does not name it.
    if (shard.isUp || shard.toShard.length > 0) shard.toShard.push({ type: "done", task });
    this.#plan();
  }

  deliverToShard(number: number): void {
    const shard = this.#at(number);
    const message = shard.toShard.shift();
    if (message === undefined) return;
    if (message.type === "hello") {
      shard.isUp = true;
      shard.slots = message.slots;
      shard.told = { slots: 0, least: 0 };
      for (const task of shard.held) {
        if (message.running.has(task)) continue;
        shard.held.delete(task);
        if (!this.ended.has(task)) shard.queue.unshift(task); // it went down with the socket
      }
      shard.toWorker.push({ type: "welcome" });
    } else if (message.type === "slots") {
      shard.slots = message.slots;
      shard.toWorker.push({ type: "slots" });
      this.said += 1;
    } else {
      shard.held.delete(message.task);
    }
    this.#settle(shard);
  }

  /** Tasks that came to the worker: they don't come again. */
  readonly ended = new Set<PlayedTask>();

  deliverToWorker(number: number): void {
    const shard = this.#at(number);
    const message = shard.toWorker.shift();
    if (message === undefined) return;
    if (message.type === "welcome") this.credits.open(shard);
    else if (message.type === "slots") this.credits.answer(shard);
    else if (message.type === "wanted") this.credits.want(shard, message.slots, message.least);
    else {
      this.ended.add(message.task);
      this.running.add(message.task);
      this.credits.use(shard, message.task.slots);
    }
    this.#plan();
  }

  /** Everything that is on its way arrives, and what that leads to. Fails when it never comes to rest. */
  rest(): this {
    for (let round = 0; !this.isQuiet; round++) {
      if (round > 10_000) throw new Error("They talk for ever");
      for (const { number } of this.shards) {
        this.deliverToShard(number);
        this.deliverToWorker(number);
      }
    }
    return this;
  }

  #plan(): void {
    if (!this.credits.isDue) return;
    for (const { shard, slots } of this.credits.plan()) {
      shard.toShard.push({ type: "slots", slots });
    }
  }

  /** As a shard does in each turn: starts what it has room for, and says what more it would. */
  #settle(shard: PlayedShard): void {
    if (!shard.isUp) return;
    for (const task of shard.queue.splice(0)) {
      if (shard.used + task.slots > shard.slots) {
        shard.queue.push(task);
        continue;
      }
      shard.held.add(task);
      shard.started += 1;
      shard.toWorker.push({ type: "task", task });
    }
    const waiting = shard.queue.filter(({ slots }) => slots <= this.slots);
    const now = { slots: slotsOf(waiting), least: waiting[0]?.slots ?? 0 };
    const { told } = shard;
    if (!hasChanged(told.slots, now.slots) && !hasChanged(told.least, now.least)) return;
    if (shard.slots >= this.slots && (now.slots > told.slots || now.least > told.least)) return;
    shard.told = now;
    shard.toWorker.push({ type: "wanted", ...now });
    this.said += 1;
  }

  #at(number: number): PlayedShard {
    const shard = this.shards[number];
    if (shard === undefined) throw new Error(`There is no shard ${number}`);
    return shard;
  }
}

function slotsOf(tasks: Iterable<PlayedTask>): number {
  let sum = 0;
  for (const { slots } of tasks) sum += slots;
  return sum;
}
