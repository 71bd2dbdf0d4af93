import { describe, expect, it } from "vitest";
import {
  absent,
  asDetected,
  doubtful,
  find,
  moved,
  next,
  sameCalibration,
  sameContent,
  statusOf,
} from "../src/model/points";
import { landmarks, opened, terms } from "./films";

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

  it("is the same scale whoever measured it, and another with another length", () => {
    const line = { x1: 0, y1: 0, x2: 0, y2: 100, mm: 10 };
    expect(sameCalibration(line, { ...line, by: "Dr. Example" })).toBe(true);
    expect(sameCalibration(line, { ...line, mm: 11 })).toBe(false);
    expect([sameCalibration(line, null), sameCalibration(null, null)]).toEqual([false, true]);
  });
});
