/** The list of films. */

import { api } from "../api";
import { FILTERS, type Filter, counts, needsLook, shown } from "../model/worklist";
import type { FilmEntry, Session } from "../types";
import { h } from "./dom";

const NAMES: Record<Filter, string> = {
  all: "All",
  look: "Needs a look",
  open: "Open",
  draft: "Draft",
  final: "Final",
};

const kept: { filter: Filter; search: string; last: string | null } = { filter: "all", search: "", last: null };

function row(entry: FilmEntry): HTMLElement {
  const { patient } = entry;
  const who = patient ? [patient.name, patient.id, patient.birth_date].filter(Boolean).join(" · ") : "";
  const parts: string[] = [];
  if (entry.missing) parts.push(`${entry.missing} missing`);
  if (entry.uncertain) parts.push(`${entry.uncertain} uncertain`);
  if (!entry.spacing) parts.push("no scale");
  const attention = [...parts, ...entry.attention.map((one) => one.text)];
  return h(
    "li",
    {},
    h(
      "a",
      { class: "film-row", href: `#/film/${encodeURIComponent(entry.id)}`, "data-id": entry.id },
      h("img", { src: api.thumbnail(entry.id), loading: "lazy", alt: "", width: 56, height: 56 }),
      h("span", { class: "who" }, h("b", {}, entry.film), who && h("small", {}, who)),
      h("span", { class: needsLook(entry) ? "why" : "why quiet" }, attention.join(" · ")),
      h(
        "span",
        { class: `state ${entry.state}` },
        entry.state === "final" ? `Final${entry.reviewer ? `, ${entry.reviewer}` : ""}` : NAMES[entry.state],
      ),
    ),
  );
}

export function worklistPage(root: HTMLElement, session: Session, entries: FilmEntry[]): () => void {
  const list = h("ul", { class: "films", "aria-label": "Films" });
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
    list.replaceChildren(...films.map(row));
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
    const rows = [...list.querySelectorAll<HTMLElement>("a")];
    const at = rows.findIndex((one) => one === document.activeElement);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + 10,
      PageUp: at - 10,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    if (event.key === "/" && event.target !== search) {
      search.focus();
    } else if (to !== undefined && (event.target !== search || event.key.startsWith("Arrow"))) {
      const target = rows[Math.min(Math.max(to, 0), rows.length - 1)];
      target?.focus();
      target?.scrollIntoView({ block: "nearest" });
    } else {
      return;
    }
    event.preventDefault();
  };
  list.addEventListener("click", (event) => {
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
        search,
      ),
      filters,
      total,
      list,
      h(
        "footer",
        {},
        `monai-ceph ${session.version}. Research use, not a medical device; a trained person reviews every result.`,
      ),
    ),
  );
  draw();
  const last = kept.last && list.querySelector<HTMLElement>(`a[data-id="${CSS.escape(kept.last)}"]`);
  if (last) last.focus();
  return () => {
    document.removeEventListener("keydown", keys);
  };
}
