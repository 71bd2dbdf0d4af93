/** A film of four landmarks, the last one only placed by people. */

import type { Content, Landmark, Term } from "../src/types";

export const terms: Term[] = ["S", "N", "Po", "Ba"].map((symbol, index) => ({
  symbol,
  name: symbol,
  definition: "",
  number: index < 3 ? index + 1 : null,
  detected: index < 3,
}));

export function landmark(symbol: string, x: number | null, status: Landmark["status"]): Landmark {
  return { symbol, x, y: x, status, score: 0.5, expected: null, radius_px: null };
}

export const landmarks = new Map(
  [landmark("S", 10, "ok"), landmark("N", 20, "uncertain"), landmark("Po", null, "missing")].map((one) => [
    one.symbol,
    one,
  ]),
);
export const opened: Content = {
  points: [...landmarks.values()].map(({ symbol, x, y }) => ({ symbol, x, y, source: "detected", moved_from: null })),
  calibration: null,
  note: "",
};
