/** Changes that are not saved yet, kept in the browser until they are. They hold points, never the patient. */

import type { Backup } from "../model/saver";
import type { Content, Revision } from "../types";

const PREFIX = "monai-ceph unsaved ";

export interface Pending {
  base: Revision;
  content: Content;
}

export function backupOf(id: string): Backup {
  return {
    keep: (base, content) => {
      const pending: Pending = { base, content };
      localStorage.setItem(PREFIX + id, JSON.stringify(pending));
    },
    clear: () => {
      localStorage.removeItem(PREFIX + id);
    },
  };
}

export function pendingOf(id: string): Pending | null {
  const kept = localStorage.getItem(PREFIX + id);
  return kept === null ? null : (JSON.parse(kept) as Pending);
}
