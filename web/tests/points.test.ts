import { describe, expect, it } from "vitest";
import {
  absent,
  asDetected,
  differences,
  doubtful,
  find,
  moved,
  next,
  reapplied,
  sameContent,
  statusOf,
} from "../src/model/points";
import type { Content, Landmark, Term } from "../src/types";

const terms: Term[] = ["S", "N", "Po", "Ba"].map((symbol, index) => ({
  symbol,
  name: symbol,
  definition: "",
  number: index < 3 ? index + 1 : null,
  detected: index < 3,
}));

function landmark(symbol: string, x: number | null, status: Landmark["status"]): Landmark {
  return { symbol, x, y: x, status, score: 0.5, expected_x: null, expected_y: null, radius_px: null };
}

const landmarks = new Map(
  [landmark("S", 10, "ok"), landmark("N", 20, "uncertain"), landmark("Po", null, "missing")].map((one) => [
    one.symbol,
    one,
  ]),
);
const opened: Content = {
  points: [...landmarks.values()].map(({ symbol, x, y }) => ({ symbol, x, y, source: "detected", moved_from: null })),
  calibration: null,
  note: "",
};

describe("points", () => {
  it("remembers where a moved point was detected, also after a second move", () => {
    const once = moved(opened, "S", 12.345, 13, terms, landmarks.get("S"));
    const twice = moved(once, "S", 14, 15, terms, landmarks.get("S"));
    expect(find(once.points, "S")).toEqual({ symbol: "S", x: 12.35, y: 13, source: "human", moved_from: [10, 10] });
    expect(find(twice.points, "S")?.moved_from).toEqual([10, 10]);
    expect(find(opened.points, "S")?.x).toBe(10);
  });

  it("has no place to move from where nothing was detected", () => {
    expect(find(moved(opened, "Po", 1, 2, terms, landmarks.get("Po")).points, "Po")?.moved_from).toBeNull();
  });

  it("goes back to the detection, and takes away a point that only people place", () => {
    const changed = moved(moved(opened, "S", 1, 1, terms, landmarks.get("S")), "Ba", 5, 5, terms, undefined);
    expect(changed.points.map((point) => point.symbol)).toEqual(["S", "N", "Po", "Ba"]);
    const back = asDetected(asDetected(changed, "S", terms, landmarks.get("S")), "Ba", terms, undefined);
    expect(sameContent(back, opened)).toBe(true);
  });

  it("is doubtful until a person decided", () => {
    expect(doubtful(opened.points, landmarks, terms)).toEqual(["N", "Po"]);
    const decided = absent(moved(opened, "N", 20, 20, terms, landmarks.get("N")), "Po", terms);
    expect(doubtful(decided.points, landmarks, terms)).toEqual([]);
    expect(statusOf(find(decided.points, "Po"), landmarks.get("Po"))).toBe("absent");
  });

  it("asks for every point in a blind reading", () => {
    expect(doubtful([], new Map(), terms)).toEqual(["S", "N", "Po"]);
  });

  it("finds the next and the previous one, and stops at the ends", () => {
    const order = terms.map((term) => term.symbol);
    expect(next(["N", "Po"], null, order, 1)).toBe("N");
    expect(next(["N", "Po"], "N", order, 1)).toBe("Po");
    expect(next(["N", "Po"], "Po", order, 1)).toBeNull();
    expect(next(["N", "Po"], "Ba", order, -1)).toBe("Po");
    expect(next(["N", "Po"], "N", order, -1)).toBeNull();
  });

  it("puts my changes on theirs and keeps what only they changed", () => {
    const mine = { ...moved(opened, "S", 1, 1, terms, landmarks.get("S")), note: "mine" };
    const theirs = moved(moved(opened, "S", 2, 2, terms, landmarks.get("S")), "N", 3, 3, terms, landmarks.get("N"));
    const calibrated = { ...theirs, calibration: { x1: 0, y1: 0, x2: 10, y2: 0, mm: 1 } };
    const both = reapplied(opened, mine, calibrated, terms);
    expect(find(both.points, "S")?.x).toBe(1);
    expect(find(both.points, "N")?.x).toBe(3);
    expect(both.calibration?.mm).toBe(1);
    expect(both.note).toBe("mine");
    expect(differences(mine, theirs, terms).map((one) => one.symbol)).toEqual(["S", "N"]);
  });

  it("takes away on theirs what I took away", () => {
    const base = moved(opened, "Ba", 5, 5, terms, undefined);
    const both = reapplied(base, opened, { ...base, note: "theirs" }, terms);
    expect(find(both.points, "Ba")).toBeUndefined();
    expect(both.note).toBe("theirs");
  });
});
