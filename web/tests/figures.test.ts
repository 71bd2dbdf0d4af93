import { describe, expect, it } from "vitest";
import { linear, range, ticks } from "../src/model/plot";
import { withUnit } from "../src/model/units";
import { rowsInSight, scrollTo } from "../src/model/window";
import { counts, figure, figures, sorted } from "../src/view/pages";

describe("plot", () => {
  it("has round ticks within the range", () => {
    expect(ticks(-1.3, 2.2, 5)).toEqual([-1, 0, 1, 2]);
    expect(ticks(0, 0.31, 5)).toEqual([0, 0.1, 0.2, 0.3]);
    expect(ticks(7, 7, 5)).toEqual([7]);
  });

  it("leaves a margin, also around one value", () => {
    expect(range([0, 10], 0.1)).toEqual([-1, 11]);
    expect(range([5], 0.1)).toEqual([4.5, 5.5]);
  });

  it("maps upwards too", () => {
    expect([0, 5, 10].map(linear([0, 10], [100, 0]))).toEqual([100, 50, 0]);
  });
});

describe("rows in sight", () => {
  it("are few of many, within the list", () => {
    expect(rowsInSight(0, 700, 76, 1000, 6)).toEqual({ from: 0, to: 16 });
    expect(rowsInSight(38_000, 700, 76, 1000, 6)).toEqual({ from: 494, to: 516 });
    expect(rowsInSight(75_300, 700, 76, 1000, 6)).toEqual({ from: 984, to: 1000 });
  });

  it("are none of none, also when the list has just become short", () => {
    expect(rowsInSight(0, 700, 76, 0, 6)).toEqual({ from: 0, to: 0 });
    expect(rowsInSight(38_000, 700, 76, 3, 6)).toEqual({ from: 3, to: 3 });
  });

  it("scroll only as far as needed", () => {
    expect([scrollTo(0, 100, 200, 76), scrollTo(2, 100, 200, 76), scrollTo(5, 100, 200, 76)]).toEqual([0, null, 256]);
  });
});

describe("figures", () => {
  it("sort both ways with the unknown last", () => {
    const rows = [{ v: 1 }, { v: null }, { v: 3 }];
    const values = (down: boolean) => sorted(rows, (row) => row.v, down).map((row) => row.v);
    expect([values(true), values(false)]).toEqual([
      [3, 1, null],
      [1, 3, null],
    ]);
  });

  it("fill columns that sort by the number, not by its text", () => {
    const films = counts("Films", "read by both", (row: { n: number }) => row.n);
    const icc = figures("ICC", "of single readings", (row: { v: number | null }) => row.v, 3);
    expect([films.title, films.text({ n: 10 }), films.value?.({ n: 10 })]).toEqual(["read by both", "10", 10]);
    expect([icc.text({ v: 0.9876 }), icc.value?.({ v: 0.9876 }), icc.text({ v: null })]).toEqual([
      "0.988",
      0.9876,
      "–",
    ]);
    const rows = [{ n: 9 }, { n: 10 }];
    expect(sorted(rows, films.value ?? (() => null), true)).toEqual([{ n: 10 }, { n: 9 }]);
  });

  it("have a true minus sign, a dash for the unknown, and units as people write them", () => {
    expect([figure(-1.234), figure(null), withUnit("3.1", "degree"), withUnit("3.1", "mm")]).toEqual([
      "\u22121.23",
      "–",
      "3.1°",
      "3.1 mm",
    ]);
  });
});
