/** What the search in the header offers while one types. */

import { matchesWords } from "./filter";
import type { Row } from "./rows";

const SHOWN = 6;

export interface Suggestions {
  readonly rows: readonly Row[];
  /** How many match in all. */
  readonly found: number;
}

/** The best few matches: names that begin with the words, then names that hold them, then the rest. */
export function suggestionsFor(rows: readonly Row[], words: string): Suggestions {
  const wanted = words.trim().toLowerCase();
  if (wanted === "") return { rows: [], found: 0 };
  const found = rows.filter((row) => matchesWords(row, wanted));
  return {
    rows: found.toSorted((a, b) => rank(a, wanted) - rank(b, wanted)).slice(0, SHOWN),
    found: found.length,
  };
}

function rank({ model }: Row, wanted: string): number {
  const at = model.id.toLowerCase().indexOf(wanted);
  return at === 0 ? 0 : at > 0 ? 1 : 2;
}
