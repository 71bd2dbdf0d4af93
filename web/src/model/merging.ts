/** Two versions of one film: where they differ, and one made of both. */

import type { Content, Point } from "../types";
import { find, replaced, sameCalibration, samePoint } from "./points";
import type { Term } from "../types";

export type Side = "mine" | "theirs";

/** Whose version counts, for each point and for what else a person decides. */
export interface Sides {
  points: ReadonlyMap<string, Side>;
  calibration: Side;
  note: Side;
}

export interface Difference {
  symbol: string;
  mine: Point | undefined;
  theirs: Point | undefined;
}

/** All symbols of some versions, in the order of the vocabulary; those that it lacks come last. */
function symbolsOf(terms: Term[], ...contents: Content[]): string[] {
  const held = new Set(contents.flatMap(({ points }) => points.map((point) => point.symbol)));
  const known = terms.map((term) => term.symbol).filter((symbol) => held.delete(symbol));
  return [...known, ...held];
}

export function differences(mine: Content, theirs: Content, terms: Term[]): Difference[] {
  return symbolsOf(terms, mine, theirs)
    .map((symbol) => ({ symbol, mine: find(mine.points, symbol), theirs: find(theirs.points, symbol) }))
    .filter((one) => !samePoint(one.mine, one.theirs));
}

export function otherCalibration(mine: Content, theirs: Content): boolean {
  return !sameCalibration(mine.calibration, theirs.calibration);
}

/** Mine where I changed something since ``base``, otherwise theirs. */
export function proposedSides(base: Content, mine: Content, terms: Term[]): Sides {
  const own = symbolsOf(terms, base, mine).filter(
    (symbol) => !samePoint(find(mine.points, symbol), find(base.points, symbol)),
  );
  return {
    points: new Map(own.map((symbol) => [symbol, "mine"])),
    calibration: sameCalibration(base.calibration, mine.calibration) ? "theirs" : "mine",
    note: mine.note === base.note ? "theirs" : "mine",
  };
}

/** One version out of two; a point without a side is theirs. */
export function merged(mine: Content, theirs: Content, sides: Sides, terms: Term[]): Content {
  let result: Content = theirs;
  for (const [symbol, side] of sides.points) {
    if (side === "mine") result = replaced(result, find(mine.points, symbol) ?? null, symbol, terms);
  }
  return {
    points: result.points,
    calibration: sides.calibration === "mine" ? mine.calibration : theirs.calibration,
    note: sides.note === "mine" ? mine.note : theirs.note,
  };
}

/** Their version, with what I changed since ``base`` put on top of it. */
export function reapplied(base: Content, mine: Content, theirs: Content, terms: Term[]): Content {
  return merged(mine, theirs, proposedSides(base, mine, terms), terms);
}
