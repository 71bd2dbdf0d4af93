/** Which rows of a long list are needed. */

export interface Rows {
  from: number;
  /** the first one that is not needed any more */
  to: number;
}

/** Rows of one height that are in sight, and some on both sides. */
export function rowsInSight(scrolled: number, seen: number, height: number, count: number, margin: number): Rows {
  const from = Math.min(Math.max(0, Math.floor(scrolled / height) - margin), count);
  const to = Math.min(count, Math.ceil((scrolled + seen) / height) + margin);
  return { from, to: Math.max(from, to) };
}

/** How far to scroll so that a row is whole in sight; null when it is. */
export function scrollTo(row: number, scrolled: number, seen: number, height: number): number | null {
  const top = row * height;
  if (top < scrolled) return top;
  if (top + height > scrolled + seen) return top + height - seen;
  return null;
}
