/** The list of films. */

import { FILTERS, type Filter, counts, shown } from "../model/worklist";
import type { FilmEntry, Session } from "../types";
import { h } from "./dom";
import { FilmList } from "./filmlist";

const NAMES: Record<Filter, string> = {
  all: "All",
  look: "Needs a look",
  open: "Open",
  draft: "Draft",
  final: "Final",
};

const kept: { filter: Filter; search: string; last: string | null } = { filter: "all", search: "", last: null };

export function worklistPage(root: HTMLElement, session: Session, entries: FilmEntry[]): () => void {
  const list = new FilmList();
  const total = h("p", { class: "total", role: "status" });
  const search = h("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search films",
    value: kept.search,
  });
  const numbers = counts(entries);
  const filters = h(
    "div",
    { class: "filters", role: "group", "aria-label": "Filter" },
    ...FILTERS.map((filter) =>
      h(
        "button",
        {
          type: "button",
          "data-filter": filter,
          click: () => {
            choose(filter);
          },
        },
        `${NAMES[filter]} `,
        h("small", {}, String(numbers[filter])),
      ),
    ),
  );
  const draw = () => {
    const films = shown(entries, kept.filter, kept.search);
    list.show(films);
    total.textContent = films.length ? "" : entries.length ? "No film matches." : "There are no films here.";
    for (const button of filters.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset["filter"] === kept.filter));
    }
  };
  const choose = (filter: Filter) => {
    kept.filter = filter;
    draw();
  };
  search.addEventListener("input", () => {
    kept.search = search.value;
    draw();
  });
  const keys = (event: KeyboardEvent) => {
    if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = list.focused;
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + 10,
      PageUp: at - 10,
      Home: 0,
      End: list.length - 1,
    }[event.key];
    if (event.key === "/" && event.target !== search) {
      search.focus();
    } else if (to !== undefined && (event.target !== search || event.key.startsWith("Arrow"))) {
      list.focus(to);
    } else {
      return;
    }
    event.preventDefault();
  };
  list.element.addEventListener("click", (event) => {
    kept.last = (event.target as Element).closest<HTMLElement>("a")?.dataset["id"] ?? null;
  });
  document.addEventListener("keydown", keys);
  root.replaceChildren(
    h(
      "main",
      { class: "worklist" },
      h(
        "header",
        {},
        h("h1", {}, "Films to review"),
        session.blind && h("span", { class: "chip" }, "blind reading"),
        !session.blind &&
          h(
            "nav",
            { "aria-label": "Figures" },
            h("a", { href: "#/accuracy" }, "How far points moved"),
            h("a", { href: "#/readers" }, "Two readers"),
          ),
        search,
      ),
      filters,
      total,
      list.element,
      h(
        "footer",
        {},
        `monai-ceph ${session.version}. Research use, not a medical device; a trained person reviews every result.`,
      ),
    ),
  );
  draw();
  if (kept.last !== null && list.find(kept.last) >= 0) list.focus(list.find(kept.last));
  return () => {
    document.removeEventListener("keydown", keys);
    list.destroy();
  };
}
