/** Which films of the worklist are shown. */

import type { FilmEntry } from "../types";

export const FILTERS = ["all", "look", "open", "draft", "final"] as const;
export type Filter = (typeof FILTERS)[number];

export function needsLook(entry: FilmEntry): boolean {
  // a class in doubt is no fault of the film: most heads lie near some limit
  const odd = entry.attention.some((one) => one.code !== "class");
  return entry.state !== "final" && (entry.missing > 0 || entry.uncertain > 0 || odd);
}

/** Films that pass the filter and hold every word of the search, in the server's order. */
export function shown(entries: FilmEntry[], filter: Filter, search: string): FilmEntry[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return entries.filter((entry) => {
    if (filter === "look" ? !needsLook(entry) : filter !== "all" && entry.state !== filter) return false;
    const { patient } = entry;
    const text = [entry.film, patient?.name, patient?.id, entry.reviewer].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

export function counts(entries: FilmEntry[]): Record<Filter, number> {
  const result = { all: entries.length, look: 0, open: 0, draft: 0, final: 0 };
  for (const entry of entries) {
    result[entry.state]++;
    if (needsLook(entry)) result.look++;
  }
  return result;
}

/** The film to review after this one: the next that is not final, from the top again at the end. */
export function following(entries: FilmEntry[], id: string): FilmEntry | undefined {
  const at = entries.findIndex((entry) => entry.id === id);
  return [...entries.slice(at + 1), ...entries.slice(0, Math.max(at, 0))].find((entry) => entry.state !== "final");
}
