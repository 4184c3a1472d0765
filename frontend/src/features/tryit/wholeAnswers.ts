/** Whether answers are shown only when they are complete: for who cannot read, or hear, a text that grows. */

import { useSyncExternalStore } from "react";

import { forEver } from "../../shared/wallet/storage";

const KEY = "whole-answers";
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function snapshot(): boolean {
  return forEver.read(KEY) === "yes";
}

export function useWholeAnswers(): boolean {
  return useSyncExternalStore(subscribe, snapshot);
}

/** Kept in this browser until it is changed again. */
export function chooseWholeAnswers(wanted: boolean): void {
  forEver.write(KEY, wanted ? "yes" : null);
  for (const listener of listeners) listener();
}
