/** Choosing and moving points: what keys, buttons, mouse and fingers have in common. */

import type { Editing } from "../model/editing";
import { type Place, inside } from "../model/geometry";
import { next } from "../model/points";
import type { Content } from "../types";
import { say } from "./dom";
import type { Ruler } from "./ruler";
import type { FilmViewer } from "./viewer";

/** Film pixels of an arrow key while the ruler's cursor moves. */
const CURSOR_STEP = 10;

interface Listener {
  /** A step was taken, and is to be saved. */
  changed(said: string): void;
  /** A point moves and is not let go yet. */
  passing(content: Content): void;
  /** Something must be redrawn. */
  drawn(): void;
  /** This place is being looked at. */
  looked(place: Place): void;
}

export class PointEditor {
  chosen: string | null = null;

  constructor(
    private readonly editing: Editing,
    private readonly view: FilmViewer,
    private readonly ruler: Ruler,
    private readonly on: Listener,
  ) {}

  private get order(): string[] {
    return this.editing.terms.map((term) => term.symbol);
  }

  choose(symbol: string, show: boolean): void {
    this.chosen = symbol;
    const term = this.editing.terms.find((one) => one.symbol === symbol);
    const place = this.editing.placeOf(symbol);
    const status = this.editing.status(symbol);
    const todo = place ? "" : " Click where it is, or press p.";
    const known = status === "ok" ? "" : `It is ${status}.`;
    say(`${symbol}, ${term?.name ?? ""}: ${term?.definition ?? ""}. ${known}${todo}`);
    if (show && place) this.view.show(place);
    this.on.drawn();
  }

  /** Choose the next or previous doubtful point. Return false at the end of them. */
  doubtful(step: 1 | -1): boolean {
    const symbols = this.editing.doubtful();
    const symbol = next(symbols, this.chosen, this.order, step);
    if (symbol) this.choose(symbol, true);
    else say(symbols.length ? "No further doubtful point." : "No point is doubtful.");
    return symbol !== null;
  }

  another(step: 1 | -1): void {
    const symbol = next(this.order, this.chosen, this.order, step);
    if (symbol) this.choose(symbol, true);
  }

  nudge(dx: number, dy: number): void {
    if (this.ruler.active) {
      const from = this.ruler.cursor ?? this.view.middle();
      const { width, height } = this.view.film;
      this.ruler.cursor = inside({ x: from.x + dx * CURSOR_STEP, y: from.y + dy * CURSOR_STEP }, width, height);
      this.on.drawn();
      this.on.looked(this.ruler.cursor);
      return;
    }
    const place = this.chosen && this.editing.placeOf(this.chosen);
    if (this.chosen && place) this.put(this.chosen, { x: place.x + dx, y: place.y + dy });
  }

  /** Place the chosen point where it is or is expected, otherwise in the middle of what is seen. */
  place(): void {
    if (this.chosen) this.put(this.chosen, this.editing.placeOf(this.chosen) ?? this.view.middle());
  }

  /** A click on the film places the chosen point if it has no place. */
  clicked(place: Place): void {
    if (this.chosen && !this.editing.placeOf(this.chosen)) this.put(this.chosen, place);
  }

  absent(): void {
    if (this.chosen) this.take(this.editing.absent(this.chosen), `${this.chosen} is not on the film`);
  }

  asDetected(): void {
    if (this.chosen) this.take(this.editing.asDetected(this.chosen), `${this.chosen} is as detected`);
  }

  undo(): void {
    if (this.editing.undo()) this.on.changed("Undone");
  }

  redo(): void {
    if (this.editing.redo()) this.on.changed("Redone");
  }

  pass(symbol: string, place: Place): void {
    this.on.passing(this.editing.pass(symbol, place));
    this.on.drawn();
    this.on.looked(place);
  }

  letGo(): void {
    const content = this.editing.letGo();
    if (content) this.take(content, `${this.chosen ?? "Point"} moved`);
    else this.on.drawn();
  }

  take(content: Content, said: string): void {
    if (this.editing.step(content)) this.on.changed(said);
    else this.on.drawn();
  }

  private put(symbol: string, place: Place): void {
    this.take(this.editing.movedTo(symbol, place), `${symbol} moved`);
    this.on.looked(place);
  }
}
