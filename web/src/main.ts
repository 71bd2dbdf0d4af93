/** Which page is shown: the worklist at #/, a film at #/film/ID. */

import "./styles.css";
import { api } from "./api";
import type { FilmEntry, Session } from "./types";
import { askName, rememberedName } from "./view/dialogs";
import { h } from "./view/dom";
import { FilmPage } from "./view/film";
import { worklistPage } from "./view/worklist";

const root = document.getElementById("app") as HTMLElement;
let leave: () => void = () => undefined;
let visit = 0;
let entries: FilmEntry[] = [];
let session: Session | null = null;

function trouble(error: unknown): void {
  const why = error instanceof Error ? error.message : String(error);
  const again = h("button", { type: "button", click: () => void show() }, "Try again");
  const back = h("a", { href: "#/" }, "Worklist");
  root.replaceChildren(
    h("main", { class: "trouble" }, h("h1", {}, "This did not work"), h("p", { role: "alert" }, why), again, back),
  );
}

async function reviewerName(): Promise<string> {
  const known = session?.reviewer ?? rememberedName();
  return known || (await askName(""));
}

async function show(): Promise<void> {
  const mine = ++visit;
  leave();
  leave = () => undefined;
  const id = /^#\/film\/([^/]+)$/.exec(location.hash)?.[1];
  try {
    session ??= await api.session();
    if (id === undefined) {
      document.title = "Films to review - monai-ceph";
      entries = await api.films();
      if (mine === visit) leave = worklistPage(root, session, entries);
      return;
    }
    const film = decodeURIComponent(id);
    root.replaceChildren(h("main", { class: "trouble", "aria-busy": "true" }, h("p", {}, "Loading the film…")));
    const [opened, values, all] = await Promise.all([
      api.film(film),
      api.pixels(film),
      entries.length ? entries : api.films(),
    ]);
    entries = all;
    if (values.length !== opened.width * opened.height) throw new Error("The film did not arrive whole.");
    const reviewer = await reviewerName();
    if (mine !== visit) return;
    document.title = `${opened.film} - monai-ceph`;
    const page = new FilmPage(root, session, entries, opened, values, reviewer);
    leave = () => {
      page.destroy();
    };
  } catch (error) {
    if (mine === visit) trouble(error);
  }
}

window.addEventListener("hashchange", () => void show());
void show();
