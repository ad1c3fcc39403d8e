/**
 * Time that passes only from one thing that is due to the next, in an order that is always the
 * same. What is really asynchronous (PGlite) is waited for without any time passing.
 */
import { setImmediate } from "node:timers/promises";
import type { SimulatedProcess } from "./simulated-process.ts";

/** Something that is to happen in a process, unless it is called off or the process ends before. */
export class Appointment {
  at: number;
  /** Where it stands among those of the same moment. */
  readonly order: number;
  readonly process: SimulatedProcess;
  readonly run: () => void;
  isCalledOff = false;

  constructor(at: number, order: number, process: SimulatedProcess, run: () => void) {
    this.at = at;
    this.order = order;
    this.process = process;
    this.run = run;
  }

  callOff(): void {
    this.isCalledOff = true;
  }
}

export class VirtualClock {
  /** Milliseconds since 1970, whole ones. */
  now: number;
  /** How many things have happened. */
  turns = 0;
  #heap: Appointment[] = [];
  #made = 0;
  #underWay = 0;

  constructor(now: number) {
    this.now = now;
  }

  /** Has `run` happen in a process, at once or later: after what was arranged for then before. */
  after(ms: number, process: SimulatedProcess, run: () => void): Appointment {
    const at = this.now + Math.max(0, Math.ceil(ms));
    const appointment = new Appointment(at, this.#made++, process, run);
    this.#push(appointment);
    return appointment;
  }

  /** Waits for what happens outside of the simulation: no time passes meanwhile. */
  async outside<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }

  /** Lets things happen until `isOver`, or until `deadline`; tells whether it is over. */
  async run(isOver: () => boolean, deadline: number): Promise<boolean> {
    await this.#settle();
    while (!isOver()) {
      const next = this.#heap[0];
      if (next === undefined || next.at > deadline) {
        this.now = Math.max(this.now, deadline);
        return isOver();
      }
      this.#pop();
      const { process } = next;
      if (next.isCalledOff || !process.isAlive) continue;
      if (process.blockedUntil > next.at) {
        next.at = process.blockedUntil; // its order stays: what came first is found first
        this.#push(next);
        continue;
      }
      this.now = Math.max(this.now, next.at);
      this.turns++;
      process.run(next.run);
      await this.#settle();
      process.turned();
    }
    return true;
  }

  /** Until every promise that can go on has gone on. */
  async #settle(): Promise<void> {
    do await setImmediate();
    while (this.#underWay > 0);
  }

  #push(appointment: Appointment): void {
    const heap = this.#heap;
    let index = heap.push(appointment) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(appointment, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = appointment;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const [left, right] = [heap[2 * index + 1], heap[2 * index + 2]];
      const isRight = right !== undefined && left !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (child === undefined || !isBefore(child, last)) break;
      heap[index] = child;
      index = 2 * index + (isRight ? 2 : 1);
    }
    heap[index] = last;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
