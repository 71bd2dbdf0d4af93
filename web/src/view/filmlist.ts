/** The rows of the worklist: only those in sight are in the document, so that 1,000 films scroll like ten. */

import { api } from "../api";
import { patientText } from "../model/patient";
import { rowsInSight, scrollTo } from "../model/window";
import { needsLook } from "../model/worklist";
import type { FilmEntry } from "../types";
import { h } from "./dom";

/** A row and the space around it, as worklist.css has it. */
const ROW_HEIGHT = 76;
/** Rows above and below those in sight. */
const MARGIN = 6;
/** Pictures are asked for once the list has rested so long: those that only fly by would keep the server busy. */
const REST_MS = 120;

const STATES = { open: "Open", draft: "Draft", final: "Final" };
const SENT = { waiting: "being sent", sent: "sent", failed: "not sent" };

export class FilmList {
  readonly element = h("ul", { class: "films", "aria-label": "Films" });
  private readonly space = h("li", { class: "space", "aria-hidden": "true" });
  private films: FilmEntry[] = [];
  private readonly rows = new Map<string, HTMLElement>();
  private readonly resized = new ResizeObserver(() => {
    this.draw();
    this.picture();
  });
  private frame = 0;
  private resting = 0;

  constructor() {
    this.element.addEventListener("scroll", () => {
      clearTimeout(this.resting);
      this.resting = window.setTimeout(() => {
        this.picture();
      }, REST_MS);
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => {
        this.draw();
      });
    });
    this.resized.observe(this.element);
  }

  show(films: FilmEntry[]): void {
    this.films = films;
    this.rows.clear();
    this.element.replaceChildren();
    this.draw();
    this.picture();
  }

  get length(): number {
    return this.films.length;
  }

  /** Number of the row that has the focus, -1 without any. */
  get focused(): number {
    const id = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["id"] : undefined;
    return id === undefined ? -1 : this.films.findIndex((film) => film.id === id);
  }

  /** Give the focus to a row, and bring it into sight. */
  focus(row: number): void {
    const film = this.films[Math.min(Math.max(row, 0), this.films.length - 1)];
    if (!film) return;
    const at = this.films.indexOf(film);
    const to = scrollTo(at, this.element.scrollTop, this.element.clientHeight, ROW_HEIGHT);
    if (to !== null) this.element.scrollTop = to;
    this.draw();
    this.rows.get(film.id)?.querySelector("a")?.focus({ preventScroll: true });
  }

  find(id: string): number {
    return this.films.findIndex((film) => film.id === id);
  }

  private draw(): void {
    const { films, element } = this;
    const { from, to } = rowsInSight(element.scrollTop, element.clientHeight, ROW_HEIGHT, films.length, MARGIN);
    const focused = this.focused;
    // the row with the focus stays, or keys would start from the top again
    const wanted = films.slice(from, to).map((film, index) => ({ film, at: from + index }));
    const kept = films[focused];
    if (kept && focused < from) wanted.unshift({ film: kept, at: focused });
    else if (kept && focused >= to) wanted.push({ film: kept, at: focused });
    const ids = new Set(wanted.map(({ film }) => film.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    this.space.style.height = `${films.length * ROW_HEIGHT}px`;
    if (this.space.parentElement !== element) element.prepend(this.space);
    let before: Element = this.space;
    for (const { film, at } of wanted) {
      let row = this.rows.get(film.id);
      if (!row) {
        row = made(film, at, films.length);
        row.style.transform = `translateY(${at * ROW_HEIGHT}px)`;
        this.rows.set(film.id, row);
      }
      if (before.nextElementSibling !== row) before.after(row);
      before = row;
    }
  }

  /** Ask for the pictures of the rows in the document. */
  private picture(): void {
    for (const [id, row] of this.rows) {
      const image = row.querySelector("img");
      if (image && !image.hasAttribute("src")) image.src = api.thumbnail(id);
    }
  }

  destroy(): void {
    clearTimeout(this.resting);
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

function made(entry: FilmEntry, at: number, count: number): HTMLElement {
  const { patient, delivery } = entry;
  const who = patient ? patientText(patient) : "";
  const decided = entry.state === "final";
  const attention = entry.attention.filter((one) => one.code !== "class" || !decided).map((one) => one.text);
  if (!entry.spacing) attention.push("no scale");
  const signed = entry.state === "final" && entry.reviewer ? `, ${entry.reviewer}` : "";
  return h(
    "li",
    { "aria-setsize": count, "aria-posinset": at + 1 },
    h(
      "a",
      { class: "film-row", href: `#/film/${encodeURIComponent(entry.id)}`, "data-id": entry.id },
      h("img", { alt: "", width: 56, height: 56 }),
      h("span", { class: "who" }, h("b", {}, entry.film), who && h("small", {}, who)),
      h("span", { class: needsLook(entry) ? "why" : "why quiet" }, attention.join(" · ")),
      h(
        "span",
        { class: `state ${entry.state}` },
        STATES[entry.state] + signed,
        delivery && h("small", { class: delivery === "failed" ? "bad" : "quiet" }, SENT[delivery]),
      ),
    ),
  );
}
