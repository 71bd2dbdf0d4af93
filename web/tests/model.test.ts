import { describe, expect, it } from "vitest";
import { inside, length, scaleOf } from "../src/model/geometry";
import { dragged, drawn, greyTable, halved, pyramid } from "../src/model/grey";
import { History } from "../src/model/history";
import { patientText } from "../src/model/patient";
import { counts, following, shown } from "../src/model/worklist";
import type { FilmEntry } from "../src/types";

describe("greys", () => {
  const grey = { center: 1000, width: 401, gamma: 1, invert: false };
  const level = (table: Uint32Array, value: number) => (table[value] ?? 0) & 255;

  it("spans the window as DICOM says, opaque", () => {
    const table = greyTable(grey);
    expect([0, 800, 801, 1000, 1200, 65535].map((value) => level(table, value))).toEqual([0, 0, 1, 128, 255, 255]);
    expect((table[0] ?? 0) >>> 24).toBe(255);
  });

  it("inverts, and gamma brightens the middle", () => {
    expect(level(greyTable({ ...grey, invert: true }), 0)).toBe(255);
    expect(level(greyTable({ ...grey, gamma: 2 }), 1000)).toBeGreaterThan(170);
  });

  it("has no division by zero in the narrowest window", () => {
    const table = greyTable({ ...grey, width: 1 });
    expect([level(table, 999), level(table, 1000)]).toEqual([0, 255]);
  });

  it("follows the mouse", () => {
    expect(dragged(grey, 100, -10, 800)).toEqual({ ...grey, width: 501, center: 990 });
    expect(dragged(grey, -9999, 0, 800).width).toBe(2);
  });

  it("halves with means, also odd sizes", () => {
    const plane = { width: 3, height: 1, values: Uint16Array.from([0, 4, 65535]) };
    expect(halved(plane)).toEqual({ width: 2, height: 1, values: Uint16Array.from([2, 65535]) });
  });

  it("makes copies down to the smallest size, the film last", () => {
    const film = { width: 9, height: 5, values: new Uint16Array(45) };
    expect(pyramid(film, 3).map((plane) => [plane.width, plane.height])).toEqual([
      [3, 2],
      [5, 3],
      [9, 5],
    ]);
  });

  it("leaves places outside of the film transparent", () => {
    const plane = { width: 2, height: 1, values: Uint16Array.from([1, 2]) };
    const table = Uint32Array.from([7, 8, 9]);
    expect([...drawn(plane, -1, -1, 4, 3, table)]).toEqual([0, 0, 0, 0, 0, 8, 9, 0, 0, 0, 0, 0]);
  });
});

describe("geometry", () => {
  it("reads lengths with a point or a comma, and nothing else", () => {
    expect(["10", " 12,5 ", "0", "-1", "ten", ""].map(length)).toEqual([10, 12.5, null, null, null, null]);
  });

  it("knows the scale of a ruler", () => {
    expect(scaleOf({ x1: 0, y1: 0, x2: 30, y2: 40, mm: 5 })).toBe(0.1);
    expect(scaleOf({ x1: 1, y1: 1, x2: 1, y2: 1, mm: 5 })).toBeNull();
  });

  it("keeps places on the film", () => {
    expect(inside({ x: -9, y: 99 }, 10, 20)).toEqual({ x: -0.5, y: 19.5 });
  });
});

describe("history", () => {
  it("undoes and redoes without limit, and a new change ends the redo", () => {
    const history = new History(0);
    for (let value = 1; value <= 5000; value++) history.push(value);
    for (let left = 5000; left > 0; left--) expect(history.undo()).toBe(true);
    expect([history.value, history.undo(), history.redo(), history.value]).toEqual([0, false, true, 1]);
    history.push(9);
    expect([history.redo(), history.canUndo, history.canRedo]).toEqual([false, true, false]);
  });
});

describe("worklist", () => {
  const entry = (id: string, part: Partial<FilmEntry> = {}): FilmEntry => ({
    id,
    film: `${id}.dcm`,
    state: "open",
    revision: 0,
    reviewer: null,
    attention: [],
    missing: 0,
    uncertain: 0,
    spacing: true,
    patient: null,
    ...part,
  });
  const films = [
    entry("a", { missing: 1, patient: { name: "Doe^Jane", id: "17", birth_date: "", sex: "F" } }),
    entry("b", { state: "final", uncertain: 2 }),
    entry("c"),
  ];

  it("filters and counts; a final film needs no look", () => {
    expect(shown(films, "look", "").map((one) => one.id)).toEqual(["a"]);
    expect(counts(films)).toEqual({ all: 3, look: 1, open: 2, draft: 0, final: 1 });
  });

  it("takes a class in doubt for no reason to look, and a warning for one", () => {
    const doubt = entry("d", { attention: [{ code: "class", text: "class not certain: ANB" }] });
    const odd = entry("e", { attention: [{ code: "warning", text: "Odd." }] });
    expect(shown([doubt, odd], "look", "")).toEqual([odd]);
  });

  it("names a patient as people read it", () => {
    const whole = { name: "Doe^Jane^^Dr.=\u5c71", id: "17", birth_date: "19800229", sex: "F" };
    expect(patientText(whole)).toBe("Doe Jane Dr. · 17 · 1980-02-29 · female");
    expect(patientText({ name: "", id: "17", birth_date: "", sex: "" })).toBe("17");
  });

  it("finds every word, in film names and patients", () => {
    expect(shown(films, "all", "jane 17").map((one) => one.id)).toEqual(["a"]);
    expect(shown(films, "all", "jane 18")).toEqual([]);
  });

  it("goes to the next film that is not final, and round the end", () => {
    expect(following(films, "a")?.id).toBe("c");
    expect(following(films, "c")?.id).toBe("a");
    expect(following([films[0] as FilmEntry], "a")).toBeUndefined();
  });
});
