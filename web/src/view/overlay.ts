/** Points, circles, ghosts and lines over the film, and the points of somebody else's version. */

import { type Place, inside } from "../model/geometry";
import { find, statusOf } from "../model/points";
import type { Calibration, Landmark, Line, Point, Term } from "../types";
import type { Rival } from "./conflict";
import { svg } from "./dom";
import type { Heat } from "./heat";
import type { FilmViewer } from "./viewer";

export interface Scene {
  points: Point[];
  lines: Line[];
  calibration: Calibration | null;
  ends: Place[];
  cursor: Place | null;
  chosen: string | null;
  layers: Set<string>;
  /** points of another version that differ from these */
  rivals: Rival[];
}

export interface Dragging {
  began(symbol: string): void;
  moved(symbol: string, place: Place): void;
  ended(symbol: string): void;
}

export class Overlay {
  private readonly lines = svg("g");
  private readonly theirs = svg("g");
  private readonly marks = svg("g");
  readonly element: SVGSVGElement;
  private scene: Scene | null = null;

  constructor(
    private readonly view: FilmViewer,
    private readonly terms: Term[],
    private readonly landmarks: ReadonlyMap<string, Landmark>,
    private readonly heat: Heat,
    private readonly dragging: Dragging,
  ) {
    const layers = [heat.element, this.lines, this.theirs, this.marks];
    this.element = svg("svg", { class: "overlay", "aria-hidden": "true" }, ...layers);
    view.viewer.canvas.append(this.element);
  }

  private groups = new Map<string, SVGGElement>();
  private onScreen: (place: Place) => Place = (place) => place;
  private scale = 1;

  draw(scene: Scene | null = this.scene): void {
    this.scene = scene;
    if (!scene || !this.view.ready) return;
    this.onScreen = this.view.projection();
    this.scale = this.view.scale;
    this.heat.draw(this.view);
    this.drawLines(this.strokes(scene));
    const kept = new Set<string>();
    for (const term of this.terms) {
      const point = find(scene.points, term.symbol);
      const landmark = this.landmarks.get(term.symbol);
      const placed = point && point.x !== null && point.y !== null ? { x: point.x, y: point.y } : null;
      const expected = landmark?.expected;
      const ghost = expected ? { x: expected[0], y: expected[1] } : null;
      const place = placed ?? (point?.source === "absent" ? null : ghost);
      if (!place) continue;
      kept.add(term.symbol);
      const radius = landmark?.radius_90_px ?? landmark?.radius_px ?? null;
      this.mark(scene, term, place, placed !== null, statusOf(point, landmark), radius);
    }
    this.theirs.replaceChildren(...this.drawnRivals(scene.rivals));
    for (const [symbol, group] of this.groups) {
      if (kept.has(symbol)) continue;
      group.remove();
      this.groups.delete(symbol);
    }
  }

  private mark(scene: Scene, term: Term, place: Place, placed: boolean, status: string, radius: number | null): void {
    let group = this.groups.get(term.symbol);
    if (!group) {
      group = this.made(term.symbol);
      this.groups.set(term.symbol, group);
      this.marks.append(group);
    }
    const { x, y } = this.onScreen(place);
    const rival = scene.rivals.find((one) => one.difference.symbol === term.symbol);
    const names = ["mark", placed ? status : "ghost", scene.chosen === term.symbol ? "chosen" : ""];
    if (rival) names.push("mine", rival.side === "mine" ? "" : "left-out");
    put(group, { class: names.filter(Boolean).join(" "), transform: `translate(${x} ${y})` });
    const circle = group.querySelector(".radius");
    const shows = radius !== null && status !== "human" && scene.layers.has("circles");
    if (circle) put(circle, { r: String(shows ? radius * this.scale : 0) });
    const text = group.querySelector("text");
    const named = scene.layers.has("names") || scene.chosen === term.symbol;
    if (text) write(text, named ? term.symbol + (placed ? "" : "?") : "");
    if (scene.chosen === term.symbol && group !== this.marks.lastElementChild && !this.held) this.marks.append(group);
  }

  private held: string | null = null;

  private made(symbol: string): SVGGElement {
    const group = svg(
      "g",
      { "data-symbol": symbol },
      svg("circle", { class: "radius", r: 0 }),
      svg("circle", { class: "hit", r: 14 }),
      svg("path", { class: "halo", d: CROSS }),
      svg("path", { class: "cross", d: CROSS }),
      svg("text", { x: 9, y: -8 }),
    );
    const hit = group.querySelector(".hit");
    let offset: Place = { x: 0, y: 0 };
    let last: Place | null = null;
    const at = (event: PointerEvent): Place => {
      const box = this.view.viewer.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const listen = (name: string, handler: (event: PointerEvent) => void) => {
      hit?.addEventListener(name, handler as EventListener);
    };
    const follow = (event: PointerEvent) => {
      const place = at(event);
      if (this.held !== symbol || !last || (place.x === last.x && place.y === last.y)) return;
      last = place;
      const { width, height } = this.view.film;
      this.dragging.moved(
        symbol,
        inside(this.view.toFilm({ x: place.x + offset.x, y: place.y + offset.y }), width, height),
      );
    };
    listen("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      event.preventDefault();
      hit?.setPointerCapture(event.pointerId);
      const matrix = group.getCTM();
      last = at(event);
      offset = { x: (matrix?.e ?? last.x) - last.x, y: (matrix?.f ?? last.y) - last.y };
      this.held = symbol;
      this.dragging.began(symbol);
      // browsers hold back other moves until the next frame, half a frame on average; not all know this kind
      hit?.addEventListener(RAW, follow as EventListener);
    });
    listen("pointermove", (event) => {
      if (this.held !== symbol) return;
      event.stopPropagation();
      follow(event);
    });
    const end = (event: PointerEvent) => {
      if (this.held !== symbol) return;
      event.stopPropagation();
      this.held = last = null;
      hit?.removeEventListener(RAW, follow as EventListener);
      this.dragging.ended(symbol);
    };
    listen("pointerup", end);
    listen("pointercancel", end);
    return group;
  }

  private drawnRivals(rivals: Rival[]): SVGElement[] {
    const result: SVGElement[] = [];
    for (const { difference, side } of rivals) {
      const { symbol, mine, theirs } = difference;
      if (theirs?.x == null || theirs.y === null) continue;
      const { x, y } = this.onScreen({ x: theirs.x, y: theirs.y });
      if (mine?.x != null && mine.y !== null) {
        const from = this.onScreen({ x: mine.x, y: mine.y });
        result.push(svg("path", { class: "between", d: `M${from.x} ${from.y}L${x} ${y}` }));
      }
      const name = `rival${side === "theirs" ? "" : " left-out"}`;
      result.push(
        svg(
          "g",
          { class: name, "data-rival": symbol, transform: `translate(${x} ${y})` },
          svg("path", { class: "halo", d: DIAMOND }),
          svg("path", { class: "cross", d: DIAMOND }),
          svg("text", { x: 11, y: 16 }, symbol),
        ),
      );
    }
    return result;
  }

  /** Change the lines on the screen into these, without new elements while a point moves. */
  private drawLines(strokes: Stroke[]): void {
    while (this.lines.childElementCount > strokes.length) this.lines.lastElementChild?.remove();
    while (this.lines.childElementCount < strokes.length) this.lines.append(svg("path", {}, svg("title")));
    for (const [index, { label, ...attributes }] of strokes.entries()) {
      const path = this.lines.children[index];
      if (!path?.firstElementChild) continue;
      put(path, attributes);
      write(path.firstElementChild, label);
    }
  }

  private strokes(scene: Scene): Stroke[] {
    const path = (places: Place[], closed: boolean) =>
      places
        .map((place, index) => {
          const { x, y } = this.onScreen(place);
          return `${index ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`;
        })
        .join("") + (closed ? "Z" : "");
    const result: Stroke[] = [];
    const ruled = { class: "ruler", "data-layer": "", label: "" };
    for (const line of scene.lines) {
      if (!scene.layers.has(line.layer)) continue;
      const d = path(
        line.points.map(([x, y]) => ({ x, y })),
        line.closed,
      );
      result.push({ class: "line", "data-layer": line.layer, d, transform: "", label: line.label });
    }
    const { calibration } = scene;
    const ruler = scene.ends.length
      ? scene.ends
      : calibration
        ? [
            { x: calibration.x1, y: calibration.y1 },
            { x: calibration.x2, y: calibration.y2 },
          ]
        : [];
    if (ruler.length) result.push({ ...ruled, d: path(ruler, false), transform: "" });
    for (const end of [...ruler, ...(scene.cursor ? [scene.cursor] : [])]) {
      const { x, y } = this.onScreen(end);
      result.push({ ...ruled, d: CROSS, transform: `translate(${x} ${y})` });
    }
    return result;
  }
}

/** A line over the film, as attributes of its path. */
interface Stroke {
  class: string;
  "data-layer": string;
  d: string;
  transform: string;
  label: string;
}

/** Set only what differs: a browser does the layout again for each value set, even an equal one. */
function put(element: Element, attributes: Record<string, string>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

const RAW = "pointerrawupdate";
const CROSS = "M-7 0H-2M2 0H7M0 -7V-2M0 2V7";
const DIAMOND = "M0 -9L9 0L0 9L-9 0Z";
