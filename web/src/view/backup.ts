/** Changes that are not saved yet, kept in the browser until they are. They hold points, never the patient. */

import type { Backup } from "../model/saver";
import type { Content } from "../types";

const PREFIX = "monai-ceph unsaved ";

export function backupOf(id: string): Backup {
  return {
    keep: (based_on, content) => {
      localStorage.setItem(PREFIX + id, JSON.stringify({ based_on, content }));
    },
    clear: () => {
      localStorage.removeItem(PREFIX + id);
    },
  };
}

export function pendingOf(id: string): { based_on: number; content: Content } | null {
  const kept = localStorage.getItem(PREFIX + id);
  return kept === null ? null : (JSON.parse(kept) as { based_on: number; content: Content });
}
