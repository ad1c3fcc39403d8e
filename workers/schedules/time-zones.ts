/**
 * Names of time zones: whether there is one, and which are like a name that is none. Pure.
 */

/** Names that are suggested. */
const MAX_SUGGESTIONS = 3;

/** What is wrong with a time zone's name; undefined: it is one. */
export function wrongInTimeZone(name: string): string | undefined {
  if (/^[+-]|^(GMT|UTC)[+-]/i.test(name)) {
    return `"${name}" is an offset, and knows no daylight saving time: give a zone's name, such as Europe/Berlin`;
  }
  if (isTimeZone(name)) return undefined;
  const like = similarZones(name);
  const hint =
    like.length === 0 ? "give one such as Europe/Berlin, or UTC" : `did you mean ${oneOf(like)}?`;
  return `there is no time zone "${name}": ${hint}`;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false; // the only way to ask
  }
}

/** The nearest: by whole name, or by its city alone. */
function similarZones(name: string): string[] {
  const asked = plain(name);
  const allowed = Math.max(2, Math.floor(asked.length / 3));
  const near = Intl.supportedValuesOf("timeZone")
    .map((zone) => {
      const city = plain(zone.slice(zone.lastIndexOf("/") + 1));
      const far = Math.min(distance(asked, plain(zone)), distance(asked, city));
      return { zone, far: city.length > 3 && asked.includes(city) ? Math.min(far, 1) : far };
    })
    .filter(({ far }) => far <= allowed)
    .toSorted((a, b) => a.far - b.far || (a.zone < b.zone ? -1 : 1));
  return near
    .filter(({ far }) => far === near[0]?.far)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ zone }) => zone);
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_-]/g, "");
}

/** How many letters have to be changed, added or left out to make one the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const changed = (row[j] ?? 0) + (letter === b[j] ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function oneOf(names: string[]): string {
  const last = names.at(-1) ?? "";
  return names.length === 1 ? last : `${names.slice(0, -1).join(", ")} or ${last}`;
}
