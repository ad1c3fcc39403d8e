/**
 * What is read from Postgres page by page, while a timer for it is due: events that runs may wait for, waits
 * that look back. Says which are being read, and what follows a page once all that it has set in motion
 * is durable. A few at a time, so that a flood takes neither the memory nor the thread of the shard. Nothing
 * here must survive: each subject's timer stands in Postgres until it has been seen to.
 */

/** The next page, or the end of a subject. */
export type Turn<Row> = { page: Row } | { over: string };

interface Progress<Row> {
  /** Transitions that are not durable yet. */
  underWay: number;
  next: Turn<Row>;
}

export class Paging<Row> {
  readonly #most: number;
  readonly #firstPage: (subject: string) => Row;
  #waiting = new Set<string>();
  #begun = new Map<string, Progress<Row> | undefined>();
  /** Everything that has not been seen to, by when it came. */
  #open = new Map<string, number>();
  #count = 0;
  /** What waits until all that came before it has been seen to. */
  #postponed: { after: number; act: () => void }[] = [];

  /** `most`: subjects that are read together. */
  constructor(most: number, firstPage: (subject: string) => Row) {
    this.#most = most;
    this.#firstPage = firstPage;
  }

  /** Whether there are more subjects than may be read now. */
  get isFull(): boolean {
    return this.#waiting.size > 0;
  }

  /** The subject's timer is due. Once more, while it is being read, changes nothing. */
  add(subject: string): void {
    if (this.#open.has(subject)) return;
    this.#open.set(subject, ++this.#count);
    this.#waiting.add(subject);
  }

  /** First pages of the subjects to begin with now. */
  begin(): Row[] {
    const rows: Row[] = [];
    for (const subject of this.#waiting) {
      if (this.#begun.size >= this.#most) break;
      this.#waiting.delete(subject);
      this.#begun.set(subject, undefined);
      rows.push(this.#firstPage(subject));
    }
    return rows;
  }

  /**
   * A page has been read, `next` is the one after it, and so many transitions of it are on their way. What
   * follows, if none is.
   */
  turn(subject: string, next: Row | undefined, underWay: number): Turn<Row> | undefined {
    const turn = next === undefined ? { over: subject } : { page: next };
    if (underWay === 0) return turn;
    this.#begun.set(subject, { underWay, next: turn });
    return undefined;
  }

  /** One of its transitions is durable, or never will be. What follows, if it was the last. */
  settle(subject: string): Turn<Row> | undefined {
    const progress = this.#begun.get(subject);
    if (progress === undefined || --progress.underWay > 0) return undefined;
    return progress.next;
  }

  /** Its timer is gone, or is left to a later life. */
  end(subject: string): void {
    this.#begun.delete(subject);
    this.#open.delete(subject);
    const [oldest = Number.POSITIVE_INFINITY] = this.#open.values();
    const due = this.#postponed.filter(({ after }) => after < oldest);
    if (due.length === 0) return;
    this.#postponed = this.#postponed.filter(({ after }) => after >= oldest);
    for (const { act } of due) act();
  }

  /** Acts once everything that is here now has been seen to: at once, if nothing is. */
  afterAll(act: () => void): void {
    if (this.#open.size === 0) act();
    else this.#postponed.push({ after: this.#count, act });
  }
}
