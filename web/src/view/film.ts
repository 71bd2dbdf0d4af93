/** The page of one film: how the viewer, the panel, the points and the saver work together. */

import { Conflict, Unreachable, api } from "../api";
import { Editing } from "../model/editing";
import { type Place, inside } from "../model/geometry";
import { Latest } from "../model/latest";
import { contentOf, sameContent } from "../model/points";
import { Saver, type Saving } from "../model/saver";
import type { Content, Film, FilmEntry, Line, Measured, Revision, Session } from "../types";
import { filmActions } from "./actions";
import { type Pending, backupOf } from "./backup";
import { ConflictPanel } from "./conflict";
import { GreyControls, Layers } from "./controls";
import { DeliveryPanel } from "./delivery";
import { askName } from "./dialogs";
import { nextFrame, say } from "./dom";
import { PointEditor } from "./editor";
import { type Frame, filmFrame } from "./frame";
import { Heat } from "./heat";
import { type Actions, pressed } from "./keys";
import { Loupe } from "./loupe";
import { Overlay } from "./overlay";
import { MeasurementTable } from "./measurements";
import { PointList } from "./panel";
import { Ruler } from "./ruler";
import { dragGreys, guardLeaving } from "./stage";
import { announce, heard } from "./tab";
import { FilmViewer } from "./viewer";

const MARKS = ["names", "circles"];

/** Whatever is needed to open a film. */
export interface Opened {
  session: Session;
  entries: FilmEntry[];
  film: Film;
  values: Uint16Array;
  reviewer: string;
  tab: string;
  pending: Pending | null;
}

export class FilmPage {
  private readonly film: Film;
  private readonly session: Session;
  private readonly editing: Editing;
  private readonly editor: PointEditor;
  private readonly frame: Frame;
  private readonly view: FilmViewer;
  private readonly overlay: Overlay;
  private readonly list: PointList;
  private readonly table = new MeasurementTable();
  private readonly layers: Layers;
  private readonly heat: Heat;
  private readonly loupe = new Loupe();
  private readonly ruler: Ruler;
  private readonly saver: Saver;
  private readonly conflict: ConflictPanel;
  private readonly delivery: DeliveryPanel;
  private readonly measuring: Latest<Content, Measured>;
  private readonly actions: Actions;
  private reviewer: string;
  private lines: Line[];
  private frameAsked = 0;
  private looked: Place | null = null;
  private readonly gone = new AbortController();

  constructor(
    root: HTMLElement,
    private readonly opened: Opened,
  ) {
    const { film, session, pending } = opened;
    const terms = session.vocabulary;
    this.film = film;
    this.session = session;
    this.reviewer = opened.reviewer;
    this.lines = film.lines;
    const landmarks = new Map(film.detection?.landmarks.map((landmark) => [landmark.symbol, landmark]));
    this.editing = new Editing(contentOf(film.review), terms, landmarks, film);
    this.saver = new Saver(
      {
        save: (based_on, name, content) => api.save(film.id, based_on, name, content),
        sign: (based_on, name) => api.sign(film.id, based_on, name),
      },
      backupOf(film.id, opened.tab),
      () => this.reviewer,
      film.review,
      (state, revision) => {
        this.tellSaving(state, revision);
      },
    );
    this.measuring = new Latest({
      ask: (content) => api.measure(film.id, content),
      answered: (measured) => {
        this.showMeasured(measured);
      },
      failed: (error) => {
        this.frame.measured(`Not measured: ${text(error)}`);
        return error instanceof Unreachable;
      },
      pace: nextFrame,
    });
    this.conflict = new ConflictPanel(terms, {
      resolved: (theirs, content) => {
        this.goOn(theirs, content);
      },
      looked: (symbol) => {
        this.editor.choose(symbol, true);
      },
      changed: () => {
        this.draw();
      },
    });
    this.delivery = new DeliveryPanel(film.id, ({ state }) => {
      const known = { waiting: "waiting", sent: "sent", failed: "failed" } as const;
      const entry = this.entry();
      if (entry) entry.delivery = state in known ? known[state as keyof typeof known] : null;
    });
    this.frame = filmFrame(film, session, {
      note: (value) => {
        this.editor.take({ ...this.editing.content, note: value }, "Note saved");
      },
      who: () => void this.rename(),
      clicked: (name) => {
        this.actions[name]();
      },
      next: () => {
        this.actions.film(1);
      },
      retry: () => {
        if (this.saver.state.is === "conflict") this.conflict.focus();
        else this.saver.put(this.editing.content);
      },
    });
    root.replaceChildren(this.frame.element);
    this.list = new PointList(terms, landmarks, (symbol) => {
      this.editor.choose(symbol, true);
    });
    this.layers = new Layers([...MARKS, ...film.lines.map((line) => line.layer)], () => {
      this.draw();
    });
    const greys = new GreyControls(film, (grey) => {
      this.view.setGrey(grey);
    });
    this.heat = new Heat(film.id, terms, () => {
      this.overlay.draw();
    });
    this.heat.button.hidden = session.heatmaps !== true;
    this.frame.bar.append(this.heat.button);
    this.frame.top.append(this.conflict.element, this.delivery.element);
    this.frame.points.append(this.heat.told, this.list.element);
    this.frame.measurements.append(this.table.element);
    this.frame.tools.append(greys.element, this.layers.element);
    this.frame.holder.append(this.loupe.element);
    const plane = { width: film.width, height: film.height, values: opened.values };
    this.view = new FilmViewer(this.frame.stage, plane, greys.grey, () => {
      this.overlay.draw();
    });
    this.ruler = new Ruler((calibration) => {
      this.editor.take({ ...this.editing.content, calibration: { ...calibration, by: this.reviewer } }, "Calibrated");
    });
    this.editor = new PointEditor(this.editing, this.view, this.ruler, {
      changed: (said) => {
        this.changed(said);
      },
      passing: (content) => {
        this.measuring.put(content);
      },
      drawn: () => {
        if (this.editing.moving) this.drawSoon();
        else this.draw();
      },
      looked: (place) => {
        this.looked = place;
        if (!this.editing.moving) this.magnify();
      },
    });
    this.overlay = new Overlay(this.view, terms, landmarks, this.heat, {
      began: (symbol) => {
        this.editor.choose(symbol, false);
        this.frame.stage.focus({ preventScroll: true });
      },
      moved: (symbol, place) => {
        this.editor.pass(symbol, place);
      },
      ended: () => {
        this.editor.letGo();
        this.loupe.fade();
      },
    });
    this.actions = filmActions({
      film: film.id,
      entries: opened.entries,
      editor: this.editor,
      view: this.view,
      ruler: this.ruler,
      greys,
      layers: this.layers,
      heat: this.heat,
      tracing: () => [...new Set(this.lines.map((line) => line.layer))],
      place: (symbol) => this.editing.placeOf(symbol),
      rulerEnd: (place) => void this.rulerEnd(place),
      draw: () => {
        this.draw();
      },
      sign: () => void this.sign(),
    });
    this.listen(greys);
    this.showMeasured(film);
    this.tellSaving({ is: "saved" }, film.review);
    this.frame.reviewer(this.reviewer);
    if (film.delivery) this.delivery.begin(film.delivery);
    this.draw();
    this.frame.stage.focus({ preventScroll: true });
    if (pending && !sameContent(pending.content, film.review)) {
      this.saver.base = pending.base;
      this.editor.take(pending.content, "Changes that were not saved last time are back");
    }
  }

  private listen(greys: GreyControls): void {
    const { signal } = this.gone;
    const { stage } = this.frame;
    const key = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]")) return;
      if (pressed(event, this.actions, document.activeElement === stage)) event.preventDefault();
    };
    document.addEventListener("keydown", key, { signal });
    guardLeaving(this.saver, signal);
    dragGreys(stage, signal, (dx, dy) => {
      greys.drag(dx, dy);
    });
    heard(signal, (id, revision) => {
      if (id === this.film.id && revision > this.saver.base.revision) void this.refresh();
    });
    this.view.viewer.addHandler("canvas-click", (event) => {
      const { quick, position } = event as unknown as { quick: boolean; position: Place };
      if (!quick) return;
      const place = inside(this.view.toFilm(position), this.film.width, this.film.height);
      if (this.ruler.active) void this.rulerEnd(place);
      else this.editor.clicked(place);
    });
  }

  private entry(): FilmEntry | undefined {
    return this.opened.entries.find((one) => one.id === this.film.id);
  }

  private changed(said: string): void {
    this.saver.put(this.editing.content);
    this.measuring.put(this.editing.content);
    this.frame.note.value = this.editing.content.note;
    say(said);
    this.draw();
  }

  /** Draw with the next frame of the screen: a mouse may move several times in between. */
  private drawSoon(): void {
    this.frameAsked ||= requestAnimationFrame(() => {
      this.draw();
    });
  }

  private magnify(): void {
    if (this.looked) this.loupe.show(this.view, this.looked, this.editing.moving);
    this.looked = null;
  }

  private draw(): void {
    cancelAnimationFrame(this.frameAsked);
    this.frameAsked = 0;
    const content = this.editing.shown;
    const { chosen } = this.editor;
    if (this.saver.state.is === "conflict" && this.saver.unsaved && !this.editing.moving)
      this.conflict.show(this.saver.base, content, this.saver.state.theirs);
    this.heat.choose(chosen);
    this.overlay.draw({
      points: content.points,
      lines: this.lines,
      calibration: content.calibration,
      ends: this.ruler.ends,
      cursor: this.ruler.cursor,
      chosen,
      layers: this.layers.shown,
      rivals: this.conflict.rivals(content),
    });
    this.list.draw(content, chosen);
    this.frame.draw({
      content,
      chosen: this.session.vocabulary.find((term) => term.symbol === chosen) ?? null,
      doubtful: this.editing.doubtful().length,
      canUndo: this.editing.canUndo,
      canRedo: this.editing.canRedo,
      calibrating: this.ruler.active,
    });
    this.magnify();
  }

  private showMeasured(measured: Measured): void {
    this.lines = measured.lines;
    this.layers.offer(measured.lines.map((line) => line.layer));
    this.table.show(measured);
    this.frame.measured("");
    if (this.editing.moving) this.drawSoon();
    else this.draw();
  }

  private tellSaving(state: Saving, revision: Revision): void {
    this.frame.saving(state, revision);
    if (state.is === "refused" || state.is === "waiting") say(`Not saved: ${state.why}`);
    if (state.is === "conflict") {
      say("Not saved: somebody else saved this film.");
      this.draw();
    }
    const entry = this.entry();
    if (state.is === "saved" && entry && entry.revision < revision.revision) announce(this.film.id, revision.revision);
    if (entry)
      Object.assign(entry, { state: revision.state, revision: revision.revision, reviewer: revision.reviewer });
  }

  /** Go on from somebody else's revision; ``content`` is what counts now. */
  private goOn(theirs: Revision, content: Content): void {
    this.conflict.close();
    this.editing.rebase(this.saver.base, theirs, content);
    this.saver.resolve(theirs, content);
    this.measuring.put(this.editing.content);
    this.frame.note.value = this.editing.content.note;
    this.frame.stage.focus({ preventScroll: true });
    this.draw();
  }

  /** Another tab saved this film: show it, unless something here is not saved or moves. */
  private async refresh(): Promise<void> {
    const { review } = await api.film(this.film.id);
    if (review.revision <= this.saver.base.revision || this.saver.unsaved || this.editing.moving) return;
    this.goOn(review, contentOf(review));
    say(`Revision ${review.revision} of another tab is shown.`);
  }

  private async rulerEnd(place: Place): Promise<void> {
    const done = this.ruler.end(place);
    this.draw();
    await done;
    this.draw();
    this.frame.stage.focus({ preventScroll: true });
  }

  private async rename(): Promise<void> {
    this.reviewer = await askName(this.reviewer);
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
      if (this.session.targets?.length) await this.delivery.follow();
    } catch (error) {
      let why = `Not signed: ${text(error)}`;
      if (error instanceof Conflict && !this.saver.unsaved) {
        this.goOn(error.current, contentOf(error.current));
        why = `Not signed: ${error.current.reviewer ?? "somebody"} saved revision ${error.current.revision} in the meantime, which is shown now. Look at it, then sign.`;
      }
      this.frame.problem(why);
      say(why);
    }
  }

  destroy(): void {
    this.gone.abort();
    cancelAnimationFrame(this.frameAsked);
    this.loupe.destroy();
    this.table.destroy();
    this.measuring.cancel();
    this.saver.stop();
    this.delivery.destroy();
    this.heat.destroy();
    this.view.destroy();
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
