/** The round glass that shows the pixels under a point. */

import type { Place } from "../model/geometry";
import { h } from "./dom";
import type { FilmViewer } from "./viewer";

const ZOOM = 6;
const SIZE = 180;
const SHOWN_MS = 1500;

export class Loupe {
  readonly element = h("canvas", { class: "loupe", width: SIZE, height: SIZE, hidden: true, "aria-hidden": "true" });
  private timer = 0;

  /** Show the surroundings of a place, in the corner that is not under the place: for a while, or while it moves. */
  show(view: FilmViewer, place: Place, moving: boolean): void {
    this.element.hidden = false;
    view.magnify(this.element, place, ZOOM);
    const at = view.toScreen(place);
    const under = at.x < view.width / 2 && at.y < SIZE + 60;
    this.element.classList.toggle("right", under);
    clearTimeout(this.timer);
    if (!moving) this.fade();
  }

  fade(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.element.hidden = true;
    }, SHOWN_MS);
  }

  destroy(): void {
    clearTimeout(this.timer);
  }
}
