/** What keys and buttons of the film page do. */

import { following } from "../model/worklist";
import type { FilmEntry } from "../types";
import type { GreyControls, Layers } from "./controls";
import { help } from "./dialogs";
import type { PointEditor } from "./editor";
import type { Heat } from "./heat";
import type { Actions } from "./keys";
import type { Ruler } from "./ruler";
import type { FilmViewer } from "./viewer";

/** The parts of the page that actions work on. */
export interface Desk {
  film: string;
  entries: FilmEntry[];
  editor: PointEditor;
  view: FilmViewer;
  ruler: Ruler;
  greys: GreyControls;
  layers: Layers;
  heat: Heat;
  /** Names of the layers that the tracing has. */
  tracing: () => string[];
  place: (symbol: string) => { x: number; y: number } | null;
  rulerEnd: (place: { x: number; y: number }) => void;
  draw: () => void;
  sign: () => void;
}

function go(film: string | undefined): void {
  location.hash = film === undefined ? "#/" : `#/film/${encodeURIComponent(film)}`;
}

export function filmActions(desk: Desk): Actions {
  const { editor, view, ruler } = desk;
  return {
    move: (dx, dy) => {
      editor.nudge(dx, dy);
    },
    pan: (dx, dy) => {
      view.pan(dx, dy);
    },
    doubtful: (step) => editor.doubtful(step),
    point: (step) => {
      editor.another(step);
    },
    place: () => {
      editor.place();
    },
    absent: () => {
      editor.absent();
    },
    asDetected: () => {
      editor.asDetected();
    },
    undo: () => {
      editor.undo();
    },
    redo: () => {
      editor.redo();
    },
    center: () => {
      const place = editor.chosen && desk.place(editor.chosen);
      if (place) view.show(place);
    },
    zoom: (factor) => {
      view.zoom(factor);
    },
    fit: () => {
      view.fit();
    },
    invert: () => {
      desk.greys.invert();
    },
    heatmap: () => {
      desk.heat.toggle();
    },
    tracing: () => {
      desk.layers.toggle(desk.tracing());
    },
    calibrate: () => {
      ruler.toggle();
      desk.draw();
    },
    enter: () => {
      if (!ruler.active) return false;
      desk.rulerEnd(ruler.cursor ?? view.middle());
      return true;
    },
    escape: () => {
      if (ruler.active) ruler.stop();
      else editor.chosen = null;
      desk.draw();
    },
    sign: desk.sign,
    film: (step) => {
      const at = desk.entries.findIndex((entry) => entry.id === desk.film);
      if (step > 0) go(following(desk.entries, desk.film)?.id);
      else if (at > 0) go(desk.entries[at - 1]?.id);
    },
    worklist: () => {
      go(undefined);
    },
    help: () => void help(),
  };
}
