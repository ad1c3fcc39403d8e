/**
 * A worker's slots as credits of its shards: what each has been told that it may use, and what it may still
 * believe. Whatever the shards do, together they can never use more than there are: a slot is given to one
 * only when it is certain that no other can use it. Pure: it says what to tell, and is told what was heard.
 */
import { type Claim, divide, sum } from "./division.ts";

interface Line {
  /** `greeting`: hello is on its way; nothing but its credit is known there. */
  state: "down" | "greeting" | "open";
  /** It is being left: it gets no more. */
  isLeaving: boolean;
  /** Its credit, as it was last told. */
  told: number;
  /** Credits that it has not answered, in order, and the last that it has. */
  unanswered: number[];
  answered: number;
  /** Slots of attempts that came by it and have not ended. */
  used: number;
  wanted: number;
  least: number;
  /** It gets room for its first task before others get more, until that has come. */
  hasTurn: boolean;
  /** When a task last came by it, as a count of those that have. */
  servedAt: number;
}

export interface Credit<Shard> {
  shard: Shard;
  slots: number;
}

export class Credits<Shard> {
  readonly slots: number;
  readonly #lines = new Map<Shard, Line>();
  #served = 0;
  /** What the shards have been told may have to change; and it was to, and could not yet. */
  #isDue = false;
  #isUnfinished = false;

  constructor(slots: number) {
    this.slots = slots;
  }

  /** How many shards share the slots, or still have something of those that they had. */
  get size(): number {
    return this.#lines.size;
  }

  /** Whether what the shards have been told may have to change. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Another shard shares the slots. `credit`: what it has been told, before they were shared. */
  join(shard: Shard, credit?: { slots: number; isAnswered: boolean }): void {
    const { slots = 0, isAnswered = false } = credit ?? {};
    this.#lines.set(shard, {
      state: credit === undefined ? "down" : isAnswered ? "open" : "greeting",
      isLeaving: false,
      told: slots,
      unanswered: isAnswered || credit === undefined ? [] : [slots],
      answered: isAnswered ? slots : 0,
      used: 0,
      wanted: 0,
      least: 0,
      hasTurn: false,
      servedAt: this.#served,
    });
    this.#isDue = true;
  }

  /** The shard is being left: what it has goes to the others, once it is free. */
  leave(shard: Shard): void {
    const line = this.#lines.get(shard);
    if (line === undefined) return;
    line.isLeaving = true;
    this.#isDue = true;
    this.#forget(shard, line);
  }

  /** A socket to the shard is open: what hello may say. */
  greet(shard: Shard): number {
    const line = this.#lines.get(shard);
    if (line === undefined) return 0;
    this.close(shard);
    const share = this.#divide().get(line) ?? 0;
    line.state = "greeting";
    line.told = Math.min(share, this.#free() + line.used);
    line.unanswered = [line.told];
    return line.told;
  }

  /** The shard has said welcome: it has its credit, and knows of none before. */
  open(shard: Shard): void {
    const line = this.#lines.get(shard);
    if (line === undefined) return;
    line.state = "open";
    line.answered = line.told;
    line.unanswered = [];
    this.#isDue = true;
  }

  /** The socket is gone: nothing more can come by it. */
  close(shard: Shard): void {
    const line = this.#lines.get(shard);
    if (line === undefined) return;
    Object.assign(line, { state: "down", told: 0, answered: 0, wanted: 0, hasTurn: false });
    line.unanswered = [];
    this.#isDue = true;
    this.#forget(shard, line);
  }

  /** The shard has answered the oldest credit that it had not. */
  answer(shard: Shard): void {
    const line = this.#lines.get(shard);
    const slots = line?.unanswered.shift();
    if (line === undefined || slots === undefined) return;
    line.answered = slots;
    this.#isDue ||= this.#isUnfinished || this.#isWanted();
  }

  /** So many more slots would be used there, and its first task needs so many. */
  want(shard: Shard, slots: number, least: number): void {
    const line = this.#lines.get(shard);
    if (line === undefined || line.state !== "open") return;
    if (line.wanted === 0) line.servedAt = this.#served; // Before that it did not wait.
    line.wanted = slots;
    line.least = least;
    if (slots === 0) line.hasTurn = false;
    this.#isDue = true;
  }

  /** An attempt of the shard takes so many slots; or gives them back, when it is less than nothing. */
  use(shard: Shard, slots: number): void {
    const line = this.#lines.get(shard);
    if (line === undefined) return;
    line.used += slots;
    if (slots > 0) {
      line.servedAt = ++this.#served;
      line.hasTurn = false;
    }
    this.#isDue ||= this.#isUnfinished || this.#isWanted() || (slots < 0 && this.#isUneven());
    this.#forget(shard, line);
  }

  /** What to tell which shards now. They count as told. */
  plan(): Credit<Shard>[] {
    this.#isDue = this.#isUnfinished = false;
    const isWanted = this.#isWanted();
    const shares = this.#divide();
    const told: Credit<Shard>[] = [];
    const raised: [Shard, Line, number][] = [];
    for (const [shard, line] of this.#lines) {
      const { used, wanted } = line;
      let share = shares.get(line) ?? 0;
      // What it uses and asks no more of goes to those who wait as it ends, without another word.
      if (isWanted && wanted === 0 && share <= used) share = 0;
      if (line.state !== "open" || share === line.told) continue;
      if (share < line.told) told.push(tell(shard, line, share));
      else raised.push([shard, line, share]);
    }
    let free = this.#free();
    for (const [shard, line, share] of raised.toSorted(([, a], [, b]) => comesFirst(a, b))) {
      const before = mayUse(line);
      const slots = Math.min(share, before + free);
      this.#isUnfinished ||= slots < share;
      if (line.wanted > 0 && slots < share && slots - line.used < line.least) {
        free = 0; // Room for a large task is saved up: in pieces, or by others, it would be taken.
        continue;
      }
      if (slots <= line.told) continue;
      free -= Math.max(0, slots - before);
      told.push(tell(shard, line, slots));
    }
    return told;
  }

  /** What each may have. Gives turns to those that wait in vain otherwise, the longest first. */
  #divide(): Map<Line, number> {
    const lines = [...this.#lines.values()].filter(({ isLeaving }) => !isLeaving);
    let shares = this.#share(lines);
    const isShort = (line: Line): boolean =>
      line.state === "open" &&
      !line.hasTurn &&
      line.wanted > 0 &&
      line.least <= this.slots &&
      (shares.get(line) ?? 0) < line.least;
    let reserved = sum(lines.map((line) => this.#reservedOf(line)));
    for (const line of lines.toSorted((a, b) => a.servedAt - b.servedAt)) {
      if (!isShort(line)) continue;
      line.hasTurn = true;
      const needed = this.#reservedOf(line);
      line.hasTurn = reserved + needed <= this.slots;
      if (!line.hasTurn) continue;
      reserved += needed;
      shares = this.#share(lines);
    }
    return shares;
  }

  #share(lines: readonly Line[]): Map<Line, number> {
    const claims = lines.map((line): Claim => {
      const { used, wanted, told } = line;
      return { used, wanted, told, reserved: this.#reservedOf(line) };
    });
    const shares = divide(this.slots, claims);
    return new Map(lines.map((line, index) => [line, shares[index] ?? 0]));
  }

  /** Beside what it uses, unless that is more than there is: then it waits for its own tasks as well. */
  #reservedOf({ hasTurn, used, least }: Line): number {
    if (!hasTurn) return 0;
    return used + least <= this.slots ? used + least : least;
  }

  /** Slots that no shard can use, whatever it may still believe. */
  #free(): number {
    return Math.max(0, this.slots - sum([...this.#lines.values()].map(mayUse)));
  }

  #isWanted(): boolean {
    for (const { wanted } of this.#lines.values()) if (wanted > 0) return true;
    return false;
  }

  /** A shard has less than half of what it could have beside what it uses. Less is not worth a word. */
  #isUneven(): boolean {
    const lines = [...this.#lines.values()];
    const spare = Math.floor((this.slots - sum(lines.map(({ used }) => used))) / lines.length);
    return lines.some(
      ({ state, isLeaving, told, used }) =>
        state === "open" && !isLeaving && (told - used) * 2 < spare,
    );
  }

  #forget(shard: Shard, { isLeaving, state, used }: Line): void {
    if (isLeaving && state === "down" && used === 0) this.#lines.delete(shard);
  }
}

function tell<Shard>(shard: Shard, line: Line, slots: number): Credit<Shard> {
  line.told = slots;
  line.unanswered.push(slots);
  return { shard, slots };
}

/** The most that the shard can use without hearing another word. */
function mayUse({ state, answered, unanswered, used }: Line): number {
  return state === "down" ? used : Math.max(used, answered, ...unanswered);
}

function comesFirst(a: Line, b: Line): number {
  return Number(b.hasTurn) - Number(a.hasTurn) || a.servedAt - b.servedAt;
}
