import { describe, expect, it } from "vitest";
import { Editing } from "../src/model/editing";
import { differences, merged, proposedSides, reapplied } from "../src/model/merging";
import { find, moved } from "../src/model/points";
import { landmark, landmarks, opened, terms } from "./films";

const at = (content: typeof opened, symbol: string, x: number) =>
  moved(content, symbol, x, x, terms, landmarks.get(symbol));

describe("two versions", () => {
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

  it("proposes mine only where I changed something", () => {
    const mine = at(opened, "S", 1);
    const theirs = at(at(opened, "S", 2), "N", 3);
    const sides = proposedSides(opened, mine, terms);
    expect([...sides.points]).toEqual([["S", "mine"]]);
    expect([sides.calibration, sides.note]).toEqual(["theirs", "theirs"]);
    const chosen = merged(mine, theirs, { ...sides, points: new Map([["N", "mine"]]) }, terms);
    expect([find(chosen.points, "S")?.x, find(chosen.points, "N")?.x]).toEqual([2, 20]);
  });

  it("compares landmarks that the vocabulary lacks", () => {
    const own = { symbol: "own", x: 1, y: 1, source: "human", moved_from: null } as const;
    const mine = { ...opened, points: [...opened.points, own] };
    expect(differences(mine, opened, terms).map((one) => one.symbol)).toEqual(["own"]);
    expect(find(reapplied(opened, mine, opened, terms).points, "own")).toEqual(own);
  });
});

describe("editing", () => {
  const film = { width: 100, height: 80 };

  it("undoes my changes and never theirs, after both were put together", () => {
    const editing = new Editing(opened, terms, landmarks, film);
    editing.step(editing.movedTo("S", { x: 1, y: 1 }));
    editing.step(editing.movedTo("S", { x: 2, y: 2 }));
    const theirs = at(opened, "N", 33);
    editing.rebase(opened, theirs, reapplied(opened, editing.content, theirs, terms));
    const places = () => ["S", "N"].map((symbol) => find(editing.content.points, symbol)?.x);
    expect(places()).toEqual([2, 33]);
    expect([editing.undo(), places()]).toEqual([true, [1, 33]]);
    expect([editing.undo(), places()]).toEqual([true, [10, 33]]);
    expect([editing.undo(), editing.redo(), places()]).toEqual([false, true, [1, 33]]);
  });

  it("takes back the choice of theirs, which puts my changes on theirs", () => {
    const editing = new Editing(opened, terms, landmarks, film);
    editing.step(editing.movedTo("S", { x: 2, y: 2 }));
    const theirs = at(at(opened, "N", 33), "S", 44);
    editing.rebase(opened, theirs, theirs);
    expect(find(editing.content.points, "S")?.x).toBe(44);
    editing.undo();
    expect(["S", "N"].map((symbol) => find(editing.content.points, symbol)?.x)).toEqual([2, 33]);
  });

  it("shows a moving point and forgets it unless it is let go", () => {
    const editing = new Editing(opened, terms, landmarks, film);
    editing.pass("S", { x: 500, y: -9 });
    expect([editing.moving, editing.point("S")?.x, editing.point("S")?.y]).toEqual([true, 99.5, -0.5]);
    expect(find(editing.content.points, "S")?.x).toBe(10);
    const content = editing.letGo();
    expect([content && editing.step(content), editing.letGo(), editing.canUndo]).toEqual([true, null, true]);
  });

  it("looks for a missing point where it is expected, and knows that this is no place", () => {
    const ghost = { ...landmark("Po", null, "missing"), expected: [30, 40] as [number, number] };
    const editing = new Editing(opened, terms, new Map([...landmarks, ["Po", ghost]]), film);
    expect([editing.placeOf("Po"), editing.status("Po")]).toEqual([{ x: 30, y: 40 }, "missing"]);
    editing.step(editing.absent("Po"));
    expect(editing.placeOf("Po")).toBeNull();
  });
});
