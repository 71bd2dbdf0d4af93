/** The page of one film: what the viewer, the panel, the history and the saver do together. */

import { Refused, api } from "../api";
import { type Place, inside } from "../model/geometry";
import { type Grey, dragged } from "../model/grey";
import { History } from "../model/history";
import { Latest } from "../model/latest";
import { absent, asDetected, doubtful, find, moved, next, sameContent, statusOf } from "../model/points";
import { Saver, type Saving } from "../model/saver";
import { following } from "../model/worklist";
import type { Content, Film, FilmEntry, Landmark, Measured, Revision, Session } from "../types";
import { backupOf, pendingOf } from "./backup";
import { askConflict } from "./conflict";
import { GreyControls, Layers } from "./controls";
import { askName, help } from "./dialogs";
import { h, say } from "./dom";
import { pressed, type Actions } from "./keys";
import { Overlay } from "./overlay";
import { askCalibration, type Ruler } from "./ruler";
import { dragGreys, guardLeaving } from "./stage";
import { PointList, measurementTable } from "./panel";
import { type Frame, filmFrame } from "./frame";
import { FilmViewer } from "./viewer";

const MARKS = ["names", "circles"];
const LOUPE = 6;

export class FilmPage {
  private readonly landmarks: Map<string, Landmark>;
  private readonly history: History<Content>;
  private readonly frame: Frame;
  private readonly view: FilmViewer;
  private readonly overlay: Overlay;
  private readonly list: PointList;
  private readonly layers: Layers;
  private readonly saver: Saver;
  private readonly measuring: Latest<Content, Measured>;
  private readonly controls: GreyControls;
  private grey: Grey;
  private chosen: string | null = null;
  private lines: Measured["lines"];
  /** what is shown while a point moves, before it is let go */
  private passing: Content | null = null;
  private ruler: Ruler | null = null;
  private loupeTimer = 0;
  private readonly gone = new AbortController();

  constructor(
    root: HTMLElement,
    private readonly session: Session,
    private readonly entries: FilmEntry[],
    private readonly film: Film,
    values: Uint16Array,
    private reviewer: string,
  ) {
    this.landmarks = new Map(film.detection?.landmarks.map((landmark) => [landmark.symbol, landmark]));
    this.lines = film.lines;
    this.grey = this.firstGrey();
    const { points, calibration, note } = film.review;
    const opened: Content = { points, calibration, note };
    this.history = new History(opened);
    this.saver = new Saver(
      {
        save: (based_on, name, content) => api.save(film.id, based_on, name, content),
        sign: (based_on, name) => api.sign(film.id, based_on, name),
      },
      backupOf(film.id),
      () => this.reviewer,
      film.review,
      (state, revision) => {
        this.tellSaving(state, revision);
      },
    );
    this.measuring = new Latest(
      (content) => api.measure(film.id, content),
      (measured) => {
        this.showMeasured(measured);
      },
      (error) => {
        this.frame.measurements.replaceChildren(h("p", { class: "bad" }, `Not measured: ${text(error)}`));
      },
    );
    this.frame = filmFrame(film, session, {
      note: (value) => {
        this.change({ ...this.content, note: value }, "Note saved");
      },
      who: () => void this.rename(),
      clicked: (name) => {
        this.actions[name]();
      },
      retry: () => {
        if (this.saver.state.is === "conflict") void this.resolve();
        else this.saver.put(this.content);
      },
    });
    root.replaceChildren(this.frame.element);
    this.list = new PointList(session.vocabulary, this.landmarks, (symbol) => {
      this.choose(symbol, true);
    });
    this.layers = new Layers([...MARKS, ...film.lines.map((line) => line.layer)], () => {
      this.draw();
    });
    this.controls = new GreyControls(
      film.minimum,
      film.maximum,
      () => this.grey,
      (grey) => {
        this.setGrey(grey);
      },
      () => {
        this.setGrey(this.firstGrey());
      },
    );
    this.frame.points.append(this.list.element);
    this.frame.tools.append(this.controls.element, this.layers.element);
    this.view = new FilmViewer(this.frame.stage, { width: film.width, height: film.height, values }, this.grey, () => {
      this.overlay.draw();
    });
    this.overlay = new Overlay(this.view, session.vocabulary, this.landmarks, {
      began: (symbol) => {
        this.choose(symbol, false);
        this.frame.stage.focus({ preventScroll: true });
      },
      moved: (symbol, place) => {
        this.pass(symbol, place);
      },
      ended: () => {
        this.let();
      },
    });
    this.listen();
    this.showMeasured(film);
    this.tellSaving({ is: "saved" }, film.review);
    this.showReviewer();
    this.draw();
    this.frame.stage.focus({ preventScroll: true });
    const pending = pendingOf(film.id);
    if (pending && !sameContent(pending.content, opened)) {
      this.saver.base = pending.base;
      this.change(pending.content, "Changes that were not saved last time are back");
    }
  }

  private get content(): Content {
    return this.history.value;
  }

  private firstGrey(): Grey {
    return { ...this.film.window, gamma: 1, invert: false };
  }

  private readonly actions: Actions = {
    move: (dx, dy) => {
      this.nudge(dx, dy);
    },
    pan: (dx, dy) => {
      this.view.pan(dx, dy);
    },
    doubtful: (step) => {
      const order = this.session.vocabulary.map((term) => term.symbol);
      const symbols = doubtful(this.content.points, this.landmarks, this.session.vocabulary);
      const symbol = next(symbols, this.chosen, order, step);
      if (symbol) this.choose(symbol, true);
      else say(symbols.length ? "No further doubtful point." : "No point is doubtful.");
      return symbol !== null;
    },
    point: (step) => {
      const order = this.session.vocabulary.map((term) => term.symbol);
      const symbol = next(order, this.chosen, order, step);
      if (symbol) this.choose(symbol, true);
    },
    place: () => {
      const symbol = this.chosen;
      if (symbol) this.put(symbol, this.placeOf(symbol) ?? this.view.middle());
    },
    absent: () => {
      if (!this.chosen) return;
      this.change(absent(this.content, this.chosen, this.session.vocabulary), `${this.chosen} is not on the film`);
    },
    asDetected: () => {
      const symbol = this.chosen;
      if (!symbol) return;
      const content = asDetected(this.content, symbol, this.session.vocabulary, this.landmarks.get(symbol));
      this.change(content, `${symbol} is as detected`);
    },
    undo: () => {
      if (this.history.undo()) this.changed("Undone");
    },
    redo: () => {
      if (this.history.redo()) this.changed("Redone");
    },
    center: () => {
      const place = this.chosen && this.placeOf(this.chosen);
      if (place) this.view.show(place);
    },
    zoom: (factor) => {
      this.view.zoom(factor);
    },
    fit: () => {
      this.view.fit();
    },
    invert: () => {
      this.setGrey({ ...this.grey, invert: !this.grey.invert });
    },
    tracing: () => {
      this.layers.toggle([...new Set(this.lines.map((line) => line.layer))]);
    },
    calibrate: () => {
      this.ruler = this.ruler ? null : { ends: [], cursor: null };
      if (this.ruler) say("Click both ends of a known length on the film, or use arrows and Enter.");
      this.draw();
    },
    enter: () => {
      if (!this.ruler) return false;
      void this.rulerEnd(this.ruler.cursor ?? this.view.middle());
      return true;
    },
    escape: () => {
      if (this.ruler) this.ruler = null;
      else this.chosen = null;
      this.draw();
    },
    sign: () => void this.sign(),
    film: (step) => {
      const at = this.entries.findIndex((entry) => entry.id === this.film.id);
      const entry = step > 0 ? following(this.entries, this.film.id) : this.entries[at - 1];
      if (entry) location.hash = `#/film/${encodeURIComponent(entry.id)}`;
      else if (step > 0) location.hash = "#/";
    },
    worklist: () => {
      location.hash = "#/";
    },
    help: () => void help(),
  };

  private listen(): void {
    const { signal } = this.gone;
    const { stage } = this.frame;
    const key = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]")) return;
      if (pressed(event, this.actions, document.activeElement === stage)) event.preventDefault();
    };
    document.addEventListener("keydown", key, { signal });
    guardLeaving(this.saver, signal);
    dragGreys(stage, signal, (dx, dy) => {
      this.setGrey(dragged(this.grey, dx, dy, this.film.maximum - this.film.minimum));
    });
    this.view.viewer.addHandler("canvas-click", (event) => {
      const { quick, position } = event as unknown as { quick: boolean; position: Place };
      if (!quick) return;
      const place = inside(this.view.toFilm(position), this.film.width, this.film.height);
      if (this.ruler) void this.rulerEnd(place);
      else if (this.chosen && !this.placeOf(this.chosen)) this.put(this.chosen, place);
    });
  }

  private placeOf(symbol: string): Place | null {
    const point = find((this.passing ?? this.content).points, symbol);
    if (point && point.x !== null && point.y !== null) return { x: point.x, y: point.y };
    const landmark = this.landmarks.get(symbol);
    if (point?.source === "absent" || !landmark || landmark.expected_x === null || landmark.expected_y === null)
      return null;
    return { x: landmark.expected_x, y: landmark.expected_y };
  }

  private choose(symbol: string, show: boolean): void {
    this.chosen = symbol;
    const term = this.session.vocabulary.find((one) => one.symbol === symbol);
    const place = this.placeOf(symbol);
    const status = statusOf(find(this.content.points, symbol), this.landmarks.get(symbol));
    const todo = place ? "" : " Click where it is, or press p.";
    say(
      `${symbol}, ${term?.name ?? ""}: ${term?.definition ?? ""}. ${status === "ok" ? "" : `It is ${status}.`}${todo}`,
    );
    if (show && place) this.view.show(place);
    this.draw();
  }

  private nudge(dx: number, dy: number): void {
    if (this.ruler) {
      const from = this.ruler.cursor ?? this.view.middle();
      const step = 10;
      this.ruler.cursor = inside({ x: from.x + dx * step, y: from.y + dy * step }, this.film.width, this.film.height);
      this.draw();
      this.loupe(this.ruler.cursor);
      return;
    }
    const place = this.chosen && this.placeOf(this.chosen);
    if (this.chosen && place) this.put(this.chosen, { x: place.x + dx, y: place.y + dy });
  }

  private movedTo(symbol: string, place: Place): Content {
    const { x, y } = inside(place, this.film.width, this.film.height);
    return moved(this.content, symbol, x, y, this.session.vocabulary, this.landmarks.get(symbol));
  }

  private put(symbol: string, place: Place): void {
    this.change(this.movedTo(symbol, place), `${symbol} moved`);
    this.loupe(place);
  }

  private pass(symbol: string, place: Place): void {
    this.passing = this.movedTo(symbol, place);
    this.measuring.put(this.passing);
    this.draw();
    this.loupe(place);
  }

  private let(): void {
    const content = this.passing;
    this.passing = null;
    if (content) this.change(content, `${this.chosen ?? "Point"} moved`);
    else this.draw();
  }

  private change(content: Content, said: string): void {
    if (sameContent(content, this.content)) {
      this.draw();
      return;
    }
    this.history.push(content);
    this.changed(said);
  }

  private changed(said: string): void {
    this.saver.put(this.content);
    this.measuring.put(this.content);
    this.frame.note.value = this.content.note;
    say(said);
    this.draw();
  }

  private draw(): void {
    const content = this.passing ?? this.content;
    this.overlay.draw({
      points: content.points,
      lines: this.lines,
      calibration: content.calibration,
      ends: this.ruler?.ends ?? [],
      cursor: this.ruler?.cursor ?? null,
      chosen: this.chosen,
      layers: this.layers.shown,
    });
    this.list.draw(content, this.chosen);
    this.frame.draw({
      content,
      chosen: this.session.vocabulary.find((term) => term.symbol === this.chosen) ?? null,
      doubtful: doubtful(content.points, this.landmarks, this.session.vocabulary).length,
      canUndo: this.history.canUndo,
      canRedo: this.history.canRedo,
      calibrating: this.ruler !== null,
    });
  }

  private loupe(place: Place): void {
    const { loupe } = this.frame;
    loupe.hidden = false;
    this.view.magnify(loupe, place, LOUPE);
    const at = this.view.toScreen(place);
    loupe.classList.toggle("right", at.x < this.frame.stage.clientWidth / 2 && at.y < loupe.clientHeight + 60);
    clearTimeout(this.loupeTimer);
    this.loupeTimer = window.setTimeout(() => {
      loupe.hidden = true;
    }, 1500);
  }

  private setGrey(grey: Grey): void {
    this.grey = grey;
    this.view.setGrey(grey);
    this.controls.draw(grey);
  }

  private showMeasured({ measurements, lines }: Measured): void {
    this.lines = lines;
    this.layers.offer(lines.map((line) => line.layer));
    this.frame.measurements.replaceChildren(measurementTable(measurements));
    this.draw();
  }

  private tellSaving(state: Saving, revision: Revision): void {
    this.frame.saving(state, revision);
    if (state.is === "conflict") void this.resolve();
    if (state.is === "refused" || state.is === "waiting") say(`Not saved: ${state.why}`);
    const entry = this.entries.find((one) => one.id === this.film.id);
    if (entry)
      Object.assign(entry, { state: revision.state, revision: revision.revision, reviewer: revision.reviewer });
  }

  private async resolve(): Promise<void> {
    if (this.saver.state.is !== "conflict" || document.querySelector("dialog[open]")) return;
    const answer = await askConflict(this.content, this.saver.state.theirs, this.session.vocabulary);
    if (answer === "theirs") {
      const theirs = this.saver.takeTheirs();
      if (!theirs) return;
      this.history.push({ points: theirs.points, calibration: theirs.calibration, note: theirs.note });
    } else if (answer === "mine") {
      const content = this.saver.reapplyMine(this.session.vocabulary);
      if (content) this.history.push(content);
    } else return;
    this.measuring.put(this.content);
    this.frame.note.value = this.content.note;
    this.draw();
  }

  private async rulerEnd(place: Place): Promise<void> {
    if (!this.ruler) return;
    this.ruler.ends = [...this.ruler.ends, place];
    this.draw();
    const [one, two] = this.ruler.ends;
    if (!one || !two) return;
    this.ruler = null;
    const calibration = await askCalibration(one, two);
    if (calibration) this.change({ ...this.content, calibration }, "Calibrated");
    this.draw();
    this.frame.stage.focus({ preventScroll: true });
  }

  private async rename(): Promise<void> {
    this.reviewer = await askName(this.reviewer);
    this.showReviewer();
  }

  private showReviewer(): void {
    this.frame.reviewer(this.reviewer);
  }

  private async sign(): Promise<void> {
    if (!(await this.saver.settled())) {
      say("Not signed: there are changes that are not saved.");
      return;
    }
    try {
      const revision = await this.saver.sign();
      say(`Signed by ${revision.reviewer ?? this.reviewer}. Press ] for the next film.`);
      this.frame.problem("");
    } catch (error) {
      const why = `Not signed: ${text(error)}`;
      this.frame.problem(error instanceof Refused && error.status === 409 ? `${why} Reload the page to see it.` : why);
      say(why);
    }
  }

  destroy(): void {
    this.gone.abort();
    clearTimeout(this.loupeTimer);
    this.measuring.cancel();
    this.saver.stop();
    this.view.destroy();
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
