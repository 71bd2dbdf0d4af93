/**
 * Changes that are not saved yet, kept in the browser until they are. They hold points, never the patient. Each tab has
 * its own; what a tab that is gone left behind goes to the next one that opens the film.
 */

import type { Backup } from "../model/saver";
import type { Content, Revision } from "../types";
import { ifGone } from "./tab";

const PREFIX = "monai-ceph unsaved ";

export interface Pending {
  base: Revision;
  content: Content;
}

function key(film: string, tab: string): string {
  return `${PREFIX}${film} ${tab}`;
}

export function backupOf(film: string, tab: string): Backup {
  return {
    keep: (base, content) => {
      const pending: Pending = { base, content };
      try {
        localStorage.setItem(key(film, tab), JSON.stringify(pending));
      } catch {
        // a browser without room still saves on the server
      }
    },
    clear: () => {
      localStorage.removeItem(key(film, tab));
    },
  };
}

function read(name: string): Pending | null {
  const kept = localStorage.getItem(name);
  return kept === null ? null : (JSON.parse(kept) as Pending);
}

/** Tabs that left changes of a film behind. */
function tabsWith(film: string): string[] {
  // version 0.16 had one backup for all tabs
  const names = Object.keys(localStorage).filter((name) => `${name} `.startsWith(`${PREFIX}${film} `));
  return names.map((name) => name.slice(`${PREFIX}${film} `.length));
}

/** What this tab, or one that is gone, did not save. More than one that is gone: the rest waits for the next time. */
export async function pendingOf(film: string, tab: string): Promise<Pending | null> {
  for (const other of tabsWith(film)) {
    if (localStorage.getItem(key(film, tab)) !== null) break;
    await ifGone(other, () => {
      const name = other === "" ? PREFIX + film : key(film, other);
      const left = localStorage.getItem(name);
      if (left === null) return;
      localStorage.setItem(key(film, tab), left);
      localStorage.removeItem(name);
    });
  }
  return read(key(film, tab));
}
