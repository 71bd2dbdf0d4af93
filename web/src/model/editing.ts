/** What a person does to the points of one film: each step can be undone, and what moves is not yet a step. */

import type { Content, Landmark, Point, Term } from "../types";
import { type Place, inside } from "./geometry";
import { History } from "./history";
import { reapplied } from "./merging";
import { type Status, absent, asDetected, doubtful, find, moved, sameContent, statusOf } from "./points";

export interface Size {
  width: number;
  height: number;
}

export class Editing {
  private readonly history: History<Content>;
  /** what is shown while a point moves, before it is let go */
  private passing: Content | null = null;

  constructor(
    opened: Content,
    readonly terms: Term[],
    readonly landmarks: ReadonlyMap<string, Landmark>,
    private readonly size: Size,
  ) {
    this.history = new History(opened);
  }

  /** The last step. */
  get content(): Content {
    return this.history.value;
  }

  /** The last step, or what it becomes while a point moves. */
  get shown(): Content {
    return this.passing ?? this.content;
  }

  get moving(): boolean {
    return this.passing !== null;
  }

  get canUndo(): boolean {
    return this.history.canUndo;
  }

  get canRedo(): boolean {
    return this.history.canRedo;
  }

  point(symbol: string): Point | undefined {
    return find(this.shown.points, symbol);
  }

  status(symbol: string): Status {
    return statusOf(this.point(symbol), this.landmarks.get(symbol));
  }

  doubtful(): string[] {
    return doubtful(this.shown.points, this.landmarks, this.terms);
  }

  /** Where a point is, or where it is expected. */
  placeOf(symbol: string): Place | null {
    const point = this.point(symbol);
    if (point && point.x !== null && point.y !== null) return { x: point.x, y: point.y };
    const expected = this.landmarks.get(symbol)?.expected;
    if (point?.source === "absent" || !expected) return null;
    return { x: expected[0], y: expected[1] };
  }

  movedTo(symbol: string, place: Place): Content {
    const { x, y } = inside(place, this.size.width, this.size.height);
    return moved(this.content, symbol, x, y, this.terms, this.landmarks.get(symbol));
  }

  absent(symbol: string): Content {
    return absent(this.content, symbol, this.terms);
  }

  asDetected(symbol: string): Content {
    return asDetected(this.content, symbol, this.terms, this.landmarks.get(symbol));
  }

  /** Show a point at another place, until it is let go. */
  pass(symbol: string, place: Place): Content {
    this.passing = this.movedTo(symbol, place);
    return this.passing;
  }

  /** Stop moving. Return what became of it; null when nothing moved. */
  letGo(): Content | null {
    const content = this.passing;
    this.passing = null;
    return content;
  }

  /** Take a step. Return false when it changes nothing. */
  step(content: Content): boolean {
    if (sameContent(content, this.content)) return false;
    this.history.push(content);
    return true;
  }

  undo(): boolean {
    return this.history.undo();
  }

  redo(): boolean {
    return this.history.redo();
  }

  /** Go on from somebody else's version: to undo later takes back my own changes, never theirs. */
  rebase(base: Content, theirs: Content, result: Content): void {
    this.passing = null;
    this.history.rebase((content) => reapplied(base, content, theirs, this.terms));
    this.step(result);
  }
}
