/**
 * What an example prints on: lines, and one bar below them. On a terminal the bar is redrawn
 * in place; elsewhere it is a line every so often. Colours only on a terminal, and never with
 * NO_COLOR. Nothing is wider than 80 columns.
 */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const MAX_COLUMNS = 80;
const BAR_CELLS = 28;

/** Milliseconds between two drawings of the bar: smooth for an eye, few lines for a log. */
const REDRAW_MS = 150;
const LINE_MS = 3_000;

/** How far something is: `done` of `of` things. */
export interface Progress {
  done: number;
  of: number;
  unit: string;
}

export class Terminal {
  readonly #isLive = process.stdout.isTTY === true && process.env["TERM"] !== "dumb";
  readonly #hasColours = this.#isLive && !process.env["NO_COLOR"];
  #bar: (() => Progress) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #shown = "";
  #isClosed = false;
  #rate = new Rate();

  get columns(): number {
    return Math.min(process.stdout.columns || MAX_COLUMNS, MAX_COLUMNS);
  }

  /** Text in a style, where colours are wanted. */
  paint(style: Style, text: string): string {
    return this.#hasColours ? styleText(style, text, { validateStream: false }) : text;
  }

  /** A line above the bar. */
  line(text = ""): void {
    if (this.#isClosed) return;
    this.#erase();
    process.stdout.write(`${text}\n`);
    if (this.#isLive) this.#draw();
  }

  /** What is being done just now; on a terminal the next line takes its place. */
  status(text: string): void {
    if (!this.#isLive) this.line(`  · ${text}`);
    else this.#show(`  ${this.paint("dim", `· ${text}`)}`);
  }

  /** Ends the bar; nothing is printed any more. */
  close(): void {
    this.endBar();
    this.#erase();
    this.#isClosed = true;
  }

  /** A long sentence in lines of at most the terminal's width, each after the same indentation. */
  paragraph(mark: string, text: string, style: Style = "reset"): void {
    const [first = "", ...rest] = wrap(text, this.columns - 4);
    this.line(`  ${this.paint(style, mark)} ${first}`);
    for (const next of rest) this.line(`    ${next}`);
  }

  /** Shows a bar until `endBar`. It asks for the progress whenever it draws. */
  startBar(progress: () => Progress): void {
    this.endBar();
    if (this.#isClosed) return;
    this.#bar = progress;
    this.#rate = new Rate();
    this.#timer = setInterval(() => this.#draw(), this.#isLive ? REDRAW_MS : LINE_MS);
    if (this.#isLive) this.#draw();
  }

  /** Ends the bar, leaving its last state as a line. */
  endBar(): void {
    if (this.#bar === undefined) return;
    clearInterval(this.#timer);
    this.#draw();
    if (this.#isLive) process.stdout.write("\n");
    this.#shown = "";
    this.#bar = undefined;
  }

  #draw(): void {
    if (this.#bar === undefined) return;
    const text = this.#barText(this.#bar());
    if (this.#isLive) this.#show(text);
    else process.stdout.write(`${text}\n`);
  }

  /** Shows text on the last line, in the place of what is there. */
  #show(text: string): void {
    if (this.#isClosed) return;
    this.#erase();
    process.stdout.write(text);
    this.#shown = text;
  }

  #barText({ done, of, unit }: Progress): string {
    const share = of === 0 ? 0 : Math.min(1, done / of);
    const filled = Math.round(share * BAR_CELLS);
    const bar = "█".repeat(filled) + this.paint("dim", "░".repeat(BAR_CELLS - filled));
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    const counts = `${grouped(done)} of ${grouped(of)} ${unit}`;
    const rate = this.paint("dim", `${grouped(this.#rate.of(done))}/s`);
    return `  ${bar} ${percent} %  ${counts}  ${rate}`;
  }

  #erase(): void {
    if (this.#shown === "") return;
    process.stdout.write("\r\u001b[2K");
    this.#shown = "";
  }
}

/** A count's speed, smoothed over the last drawings. */
class Rate {
  #at = performance.now();
  #count = 0;
  #perSecond = 0;

  of(count: number): number {
    const now = performance.now();
    const seconds = (now - this.#at) / 1_000;
    if (seconds >= 0.1) {
      const current = (count - this.#count) / seconds;
      const weight = Math.min(1, seconds);
      this.#perSecond += weight * (current - this.#perSecond);
      this.#at = now;
      this.#count = count;
    }
    return Math.round(this.#perSecond);
  }
}

/** A number with its thousands set apart: `1,645`. */
export function grouped(number: number): string {
  return number.toLocaleString("en-US");
}

/** Text cut between words into lines of at most so many characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
