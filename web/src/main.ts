/** Which page is shown: the worklist at #/, a film at #/film/ID, figures at #/accuracy and #/readers. */

import "./styles/index.css";
import { api } from "./api";
import type { FilmEntry, Session } from "./types";
import { accuracyPage } from "./view/accuracy";
import { pendingOf } from "./view/backup";
import { askName, rememberedName } from "./view/dialogs";
import { h } from "./view/dom";
import { FilmPage } from "./view/film";
import { readersPage } from "./view/readers";
import type { Shown } from "./view/pages";
import { ownTab } from "./view/tab";
import { worklistPage } from "./view/worklist";

const root = document.getElementById("app") as HTMLElement;
const PAGES: Record<string, { title: string; load: (session: Session) => Promise<Shown> }> = {
  "#/accuracy": { title: "How far points moved", load: accuracyPage },
  "#/readers": { title: "Two readers", load: readersPage },
};
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
    const page = PAGES[location.hash];
    if (page) {
      document.title = `${page.title} - monai-ceph`;
      const shown = await page.load(session);
      if (mine === visit) leave = shown(root);
      return;
    }
    if (id === undefined) {
      document.title = "Films to review - monai-ceph";
      entries = await api.films();
      if (mine === visit) leave = worklistPage(root, session, entries);
      return;
    }
    const film = decodeURIComponent(id);
    root.replaceChildren(h("main", { class: "trouble", "aria-busy": "true" }, h("p", {}, "Loading the film…")));
    const [opened, values, all, tab] = await Promise.all([
      api.film(film),
      api.pixels(film),
      entries.length ? entries : api.films(),
      ownTab(),
    ]);
    entries = all;
    if (values.length !== opened.width * opened.height) throw new Error("The film did not arrive whole.");
    const reviewer = await reviewerName();
    const pending = await pendingOf(film, tab);
    if (mine !== visit) return;
    document.title = `${opened.film} - monai-ceph`;
    const shown = new FilmPage(root, { session, entries, film: opened, values, reviewer, tab, pending });
    leave = () => {
      shown.destroy();
    };
  } catch (error) {
    if (mine === visit) trouble(error);
  }
}

window.addEventListener("hashchange", () => void show());
void show();
