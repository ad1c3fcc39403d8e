/**
 * Text cut into words that can be compared: lower case, no addresses, common endings taken off.
 * Pure. Made for English prose as it stands in issues; it is no linguist.
 */

const WORD = /[\p{L}\p{N}]+(?:['’.-][\p{L}\p{N}]+)*/gu;
const ADDRESS = /\bhttps?:\/\/\S+/g;

/** Words that say nothing about what a text is about. */
const STOP_WORDS = new Set(
  `a about all an and any are as at be been but by can do does for from had has have he her his how i if
  in into is it it's its just me my no not of on or our out she so some such than that the their them
  then there these they this those to too up us very was we were what when which who will with would
  you your`.split(/\s+/),
);

/** The words of a text in order, normalised, without those that say nothing. */
export function wordsOf(text: string): string[] {
  const words = text.normalize("NFKC").toLowerCase().replace(ADDRESS, " ").match(WORD) ?? [];
  return words.filter((word) => !STOP_WORDS.has(word)).map(stem);
}

/** A word without a common English ending, so that `spelled` and `spelling` are one. */
export function stem(word: string): string {
  const bare = word.replace(/['’]s$/, "");
  // A name with a dot or a digit (`package.json`, `v2`) is no inflected word.
  if (/[^\p{L}]/u.test(bare)) return bare;
  const stemmed = bare.replace(/(?:ing|ed|[^s]s)$/, (ending) =>
    ending.length === 2 && ending !== "ed" ? ending.charAt(0) : "",
  );
  return stemmed.length >= 3 ? stemmed : bare;
}
