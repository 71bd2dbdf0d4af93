import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Conflict, Refused, Unreachable } from "../src/api";
import { reapplied } from "../src/model/merging";
import { Saver, type Saving, type Server } from "../src/model/saver";
import type { Content, Point, Revision, Term } from "../src/types";

const terms: Term[] = ["S", "N"].map((symbol) => ({ symbol, name: symbol, definition: "", number: 1, detected: true }));

function content(s: number, n = 0): Content {
  const point = (symbol: string, x: number): Point => ({ symbol, x, y: 0, source: "human", moved_from: null });
  return { points: [point("S", s), point("N", n)], calibration: null, note: "" };
}

function revision(number: number, what: Content, reviewer: string | null = "me"): Revision {
  return { ...what, revision: number, state: "draft", reviewer, saved_at: "2026-01-01T00:00:00Z", replaces: null };
}

/** A server in memory that keeps revisions as the real one does, and fails when told. */
class Shelf implements Server {
  kept = [revision(0, content(0), null)];
  /** what the next requests meet: away before or after the server saved */
  faults: ("away" | "answer lost" | "bad")[] = [];

  get last(): Revision {
    return this.kept[this.kept.length - 1] as Revision;
  }

  save(based_on: number, reviewer: string, what: Content): Promise<Revision> {
    const fault = this.faults.shift();
    if (fault === "away") return Promise.reject(new Unreachable("away"));
    if (fault === "bad") return Promise.reject(new Refused(422, "bad"));
    if (based_on !== this.last.revision) return Promise.reject(new Conflict("conflict", this.last));
    this.kept.push(revision(based_on + 1, what, reviewer));
    return fault ? Promise.reject(new Unreachable("away")) : Promise.resolve(this.last);
  }

  sign(based_on: number, reviewer: string): Promise<Revision> {
    if (based_on !== this.last.revision) return Promise.reject(new Conflict("conflict", this.last));
    this.kept.push({ ...revision(based_on + 1, this.last, reviewer), state: "final" });
    return Promise.resolve(this.last);
  }
}

describe("saver", () => {
  let shelf: Shelf;
  let states: Saving["is"][];
  let backup: Content | null;
  let backupBase: Revision | null;
  let saver: Saver;

  beforeEach(() => {
    vi.useFakeTimers();
    shelf = new Shelf();
    states = [];
    backup = null;
    backupBase = null;
    const keeper = {
      keep: (base: Revision, what: Content) => {
        backupBase = base;
        backup = what;
      },
      clear: () => {
        backup = null;
      },
    };
    saver = new Saver(
      shelf,
      keeper,
      () => "me",
      shelf.last,
      (state) => states.push(state.is),
    );
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const pass = () => vi.advanceTimersByTimeAsync(60_000);

  it("saves each change on top of the one before", async () => {
    saver.put(content(1));
    saver.put(content(2));
    saver.put(content(3));
    await pass();
    expect(shelf.kept.map((one) => one.points[0]?.x)).toEqual([0, 1, 3]);
    expect([saver.unsaved, backup, saver.state.is]).toEqual([false, null, "saved"]);
  });

  it("tries again until the server is back, and keeps the change meanwhile", async () => {
    shelf.faults = ["away", "away", "away"];
    saver.put(content(1));
    await vi.advanceTimersByTimeAsync(500);
    expect([saver.unsaved, saver.state.is, backup]).toEqual([true, "waiting", content(1)]);
    await pass();
    expect(shelf.last.points[0]?.x).toBe(1);
    expect(states).toContain("waiting");
    expect(saver.unsaved).toBe(false);
  });

  it("knows its own revision when only the answer was lost", async () => {
    shelf.faults = ["answer lost"];
    saver.put(content(1));
    await pass();
    expect([shelf.kept.length, saver.state.is, saver.base.revision]).toEqual([2, "saved", 1]);
  });

  it("stops at a conflict, and puts my changes on top when told", async () => {
    shelf.kept.push(revision(1, content(0, 7), "other"));
    saver.put(content(5));
    await pass();
    expect([saver.state.is, saver.unsaved]).toEqual(["conflict", true]);
    saver.put(content(6));
    await pass();
    expect(shelf.kept.length).toBe(2);
    saver.resolve(shelf.last, reapplied(saver.base, content(6), shelf.last, terms));
    expect(backup).toEqual(content(6, 7));
    await pass();
    expect([shelf.last.revision, shelf.last.points.map((one) => one.x), saver.unsaved]).toEqual([2, [6, 7], false]);
  });

  it("restores unsaved work without undoing what others saved since", async () => {
    shelf.faults = ["away"];
    saver.put(content(5));
    await vi.advanceTimersByTimeAsync(500);
    saver.stop();
    shelf.kept.push(revision(1, content(0, 7), "other"));
    // the page is loaded again
    const again = new Saver(
      shelf,
      { keep: () => undefined, clear: () => undefined },
      () => "me",
      shelf.last,
      () => undefined,
    );
    again.base = backupBase as unknown as Revision;
    again.put(backup as unknown as Content);
    await pass();
    expect(again.state.is).toBe("conflict");
    expect(reapplied(again.base, backup as unknown as Content, shelf.last, terms)).toEqual(content(5, 7));
  });

  it("takes theirs when told", async () => {
    shelf.kept.push(revision(1, content(0, 7), "other"));
    saver.put(content(5));
    await pass();
    saver.resolve(shelf.last, shelf.last);
    expect(saver.base.revision).toBe(1);
    await pass();
    expect([saver.unsaved, backup, shelf.kept.length]).toEqual([false, null, 2]);
  });

  it("keeps what the server refuses, and does not ask again by itself", async () => {
    shelf.faults = ["bad"];
    saver.put(content(1));
    await pass();
    expect([saver.state.is, saver.unsaved, backup]).toEqual(["refused", true, content(1)]);
    saver.put(content(1));
    await pass();
    expect(saver.unsaved).toBe(false);
  });

  it("tells of a conflict when it signs", async () => {
    shelf.kept.push(revision(1, content(0, 7), "other"));
    await expect(saver.sign()).rejects.toThrow(Conflict);
    expect(saver.state).toEqual({ is: "conflict", theirs: shelf.last });
    saver.resolve(shelf.last, shelf.last);
    expect((await saver.sign()).revision).toBe(2);
  });

  it("signs what is saved", async () => {
    saver.put(content(1));
    expect(await saver.settled()).toBe(true);
    expect((await saver.sign()).state).toBe("final");
    expect(saver.base.revision).toBe(2);
  });
});
